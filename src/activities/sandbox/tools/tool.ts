/** What a tool gets and gives. All of a tool's work is done inside the sandbox, by `run`. */
import type { NetworkSetting } from '../../../shared/contracts/network.ts';
import type { ToolArguments, ToolName } from '../../../shared/agent/tools.ts';
import type { ExecOptions, SandboxPaths, SandboxResult } from '../provider.ts';

export type ToolContext = {
  paths: SandboxPaths;
  /** What of an output is kept for the model, in bytes. */
  outputBytes: number;
  /** A name for a file in `paths.output` that no other call uses. */
  outputFile: string;
  /** Until the agent's time is over. */
  timeLeftMs: number;
  /** What commands of agents may reach. */
  network: NetworkSetting;
  run(argv: readonly string[], options?: Partial<ExecOptions>): Promise<SandboxResult>;
  /** Keeps a text for the sandbox to read; returns its path inside. */
  keepFile(name: string, content: string): Promise<string>;
};

export type ToolAnswer = { status: 'ok' | 'error'; output: string };

export type Tool<N extends ToolName> = {
  /** Whether it can change the work tree. */
  writes: boolean;
  call(args: ToolArguments<N>, context: ToolContext): Promise<ToolAnswer>;
};

export const ok = (output: string): ToolAnswer => ({ status: 'ok', output });
export const failed = (output: string): ToolAnswer => ({ status: 'error', output });

/** A path as the model wrote it, absolute inside the sandbox. Where it leads is the sandbox's own affair. */
export function insidePath(path: string | undefined, paths: SandboxPaths): string {
  if (path === undefined || path === '' || path === '.') return paths.workspace;
  if (path === '/workspace' || path.startsWith('/workspace/')) return paths.workspace + path.slice('/workspace'.length);
  return path.startsWith('/') ? path : `${paths.workspace}/${path}`;
}

/** What a helper script said when it failed, or how it ended. */
export function describeFailure(what: string, result: SandboxResult): ToolAnswer {
  const [limit] = result.limits ?? [];
  if (limit !== undefined) return failed(`${what}: ${limit}`);
  if (result.reason === 'timeout') return failed(`${what}: it took too long and was stopped.`);
  if (result.reason === 'output-limit') return failed(`${what}: it is too large.`);
  const reason = result.stderr.trim().replace(/^(?:sh|cat|ls|find|mkdir|tail|\/bin\/sh): (?:\d+: )?/gm, '');
  return failed(`${what}: ${reason === '' ? `it failed with code ${result.exitCode}` : reason}`);
}
