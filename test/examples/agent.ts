/** An agent loop and tools on a plain folder: just enough to play a script without AgentSwarm. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { LOOP_TEXT } from '../../src/shared/agent/text.ts';
import { ROLE_TOOLS, parseArguments } from '../../src/shared/agent/tools.ts';
import type { AgentHandoff, Role } from '../../src/shared/contracts/agent.ts';
import type { Ask, Call, Result, Said } from './model-client.ts';

export type AgentRun = {
  ask: Ask;
  role: Role;
  system: string;
  user: string;
  dir: string;
  /** Takes a turn's results into its hands: to interrupt, to lose, to change. */
  meddle?: (turn: number, calls: Call[], run: () => Result[]) => Result[];
  /** Before which turn the conversation is replaced by the model's own summary. */
  compactAt?: number;
};

const MAX_TURNS = 40;

/** Runs until the closing tool is called; gives its arguments, as text, and how many turns there were. */
export async function runToClose(run: AgentRun): Promise<{ closing: string; turns: number; said: Said[] }> {
  const first: Said[] = [
    { role: 'system', text: run.system },
    { role: 'user', text: run.user },
  ];
  let said: Said[] = [...first];
  const { tools, closing } = ROLE_TOOLS[run.role];
  for (let turn = 1; turn <= MAX_TURNS; turn++) {
    if (turn === run.compactAt) {
      const summary = await run.ask([...said, { role: 'user', text: LOOP_TEXT.compact }], tools);
      said = [...first, { role: 'user', text: `The conversation so far was replaced by this.\n\n${summary.text}` }];
    }
    const answer = await run.ask(said, tools);
    said.push({ role: 'assistant', text: answer.text, calls: answer.calls });
    const close = answer.calls.find((call) => call.name === closing);
    if (close !== undefined) return { closing: close.arguments, turns: turn, said };
    if (answer.calls.length === 0) throw new Error(`no tool was called: ${answer.text}`);
    const act = (): Result[] => answer.calls.map((call) => runTool(run.dir, call));
    said.push({ role: 'tool', results: run.meddle?.(turn, answer.calls, act) ?? act() });
  }
  throw new Error(`${run.user.split('\n')[0]}: no end after ${MAX_TURNS} turns`);
}

/** The handoff of a worker or conflict agent, parsed by the tool's own schema. */
export async function handoffOf(run: AgentRun): Promise<AgentHandoff & { turns: number }> {
  const { closing, turns } = await runToClose(run);
  const parsed = parseArguments('submit_handoff', closing);
  if (!parsed.ok) throw new Error(parsed.error);
  return { ...parsed.value, turns };
}

function runTool(dir: string, call: Call): Result {
  const say = (status: Result['status'], output: string): Result => ({ callId: call.id, status, output });
  try {
    return say('ok', output(dir, call));
  } catch (error) {
    return say('error', (error as Error).message);
  }
}

function output(dir: string, call: Call): string {
  const args = JSON.parse(call.arguments) as Record<string, string>;
  const path = join(dir, args['path'] ?? '.');
  switch (call.name) {
    case 'read':
      return readFileSync(path, 'utf8')
        .replace(/\n$/, '')
        .split('\n')
        .map((line, i) => `${i + 1}\t${line}`)
        .join('\n');
    case 'write':
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, args['content'] ?? '');
      return `Wrote ${args['path']}.`;
    case 'edit': {
      const parts = readFileSync(path, 'utf8').split(args['oldText'] ?? '');
      if (parts.length !== 2) throw new Error(`oldText occurs ${parts.length - 1} times in ${args['path']}.`);
      writeFileSync(path, parts.join(args['newText'] ?? ''));
      return `Edited ${args['path']}.`;
    }
    case 'bash': {
      const env = { PATH: `${dirname(process.execPath)}:${process.env['PATH']}`, HOME: dirname(dir), LANG: 'C.UTF-8' };
      const run = spawnSync('bash', ['-c', args['command'] ?? ''], {
        cwd: dir,
        env,
        encoding: 'utf8',
        timeout: 120_000,
      });
      return `${run.stdout}${run.stderr}`;
    }
    case 'find':
    case 'ls':
      return readdirSync(path).join('\n');
    default:
      throw new Error(`there is no tool "${call.name}" here`);
  }
}
