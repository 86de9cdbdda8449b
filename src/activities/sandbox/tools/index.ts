/** Runs one tool call of a model in a sandbox. A model's mistake is an answer, never an exception. */
import { statfsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { SandboxLimits } from '../../../shared/config/worker-config.ts';
import type { ToolCall, ToolResult } from '../../../shared/contracts/agent.ts';
import { parseArguments } from '../../../shared/agent/tools.ts';
import type { SandboxProvider } from '../provider.ts';
import { bash } from './bash.ts';
import { edit, ls, read, write } from './files.ts';
import { find, grep } from './search.ts';
import { failed, type Tool, type ToolAnswer, type ToolContext } from './tool.ts';

type SandboxTool = 'read' | 'write' | 'edit' | 'bash' | 'grep' | 'find' | 'ls';
const TOOLS: { [N in SandboxTool]: Tool<N> } = { read, write, edit, bash, grep, find, ls };

const isSandboxTool = (name: string): name is SandboxTool => Object.hasOwn(TOOLS, name);
const HELPER_TIMEOUT_MS = 60_000;

/** Whether a call can have changed the work tree. */
export const mayWrite = (call: Pick<ToolCall, 'name'>): boolean => isSandboxTool(call.name) && TOOLS[call.name].writes;

/**
 * @param options.outputFile a name that no other call of this sandbox uses, for output that is cut.
 * @param options.timeLeftMs after which the agent's time is over.
 * @throws SandboxGone, and what kept the command from being started at all.
 */
export async function runTool(
  deps: { provider: SandboxProvider; limits: SandboxLimits },
  id: string,
  call: ToolCall,
  options: { outputFile: string; timeLeftMs?: number; signal?: AbortSignal },
): Promise<ToolResult> {
  const { provider, limits } = deps;
  const { outputFile, timeLeftMs = Number.POSITIVE_INFINITY, signal } = options;
  const answered = ({ status, output }: ToolAnswer): ToolResult => ({
    callId: call.id,
    name: call.name,
    status,
    output,
  });
  if (!isSandboxTool(call.name)) {
    return answered(failed(`There is no tool "${call.name}". The tools are: ${Object.keys(TOOLS).join(', ')}.`));
  }
  if (mayWrite(call)) {
    const freeMb = freeMbAt(dirname(provider.recordDir(id)));
    if (freeMb < limits.minFreeDiskMb) {
      return answered(
        failed(
          `The host's disk is full (${freeMb} MB free, ${limits.minFreeDiskMb} MB must stay free): nothing can be written now.`,
        ),
      );
    }
  }
  const paths = provider.paths(id);
  const context: ToolContext = {
    paths,
    outputBytes: limits.outputBytes,
    outputFile,
    timeLeftMs,
    network: provider.agentNetwork ?? 'none',
    run: (argv, options = {}) =>
      provider.exec(id, argv, {
        timeoutMs: HELPER_TIMEOUT_MS,
        ...(signal === undefined ? {} : { signal }),
        ...options,
      }),
    async keepFile(name, content) {
      if (provider.keepFile !== undefined) return await provider.keepFile(id, name, content);
      await writeFile(join(dirname(provider.recordDir(id)), 'output', name), content);
      return `${paths.output}/${name}`;
    },
  };
  return answered(await callTool(call.name, call.arguments, context));
}

async function callTool<N extends SandboxTool>(name: N, text: string, context: ToolContext): Promise<ToolAnswer> {
  const parsed = parseArguments<N>(name, text);
  return parsed.ok ? await TOOLS[name].call(parsed.value, context) : failed(parsed.error);
}

/** Without the thread pool, see json-files.ts. What cannot be told is not full. */
function freeMbAt(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return Math.floor((bavail * bsize) / 1_048_576);
  } catch {
    return Number.MAX_SAFE_INTEGER;
  }
}
