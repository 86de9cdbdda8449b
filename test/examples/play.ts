/**
 * Plays a whole example without AgentSwarm: plans, does what is ready in clones of one tip side by side, merges
 * one after the other, resolves conflicts, until the plan is done.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Example } from '../../examples/scripted-model/example.ts';
import { checkPlan, type KnownTask } from '../../src/shared/plan-rules.ts';
import { RUN_TEXT } from '../../src/shared/run-text.ts';
import { parseArguments, ROLE_TOOLS } from '../../src/shared/tools.ts';
import type { TaskSpec } from '../../src/shared/contracts/task.ts';
import { type AgentRun, handoffOf } from './agent.ts';
import type { Ask, Said } from './model-client.ts';

export type Played = {
  /** Ids in the order in which they landed. */
  landed: string[];
  /** Ids by round of planning. */
  plans: string[][];
  conflicts: { task: string; files: string[] }[];
  failedAttempts: string[];
  /** A clone of the result. */
  tree: string;
};

const MAX_ATTEMPTS = 3;

export function git(cwd: string, ...args: string[]): string {
  const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.invalid'];
  return execFileSync('git', [...identity, ...args], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();
}

/** Runs a command of an example as its sandbox would, with this process's Node first on the PATH. */
export function shell(cwd: string, command: string): { code: number | null; output: string } {
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}`, NODE_OPTIONS: '' };
  const run = spawnSync('bash', ['-c', command], { cwd, env, encoding: 'utf8', timeout: 300_000 });
  return { code: run.status, output: `${run.stdout}${run.stderr}` };
}

/** An ordinary repository with the example's starting files and SPEC.md as one commit on main. */
export function startRepository(example: Example, dir: string): string {
  mkdirSync(dir, { recursive: true });
  cpSync(join(example.dir, 'repository'), dir, { recursive: true });
  cpSync(join(example.dir, 'SPEC.md'), join(dir, 'SPEC.md'));
  git(dir, 'init', '-q', '-b', 'main');
  git(dir, 'add', '-A');
  git(dir, 'commit', '-qm', 'Start');
  return dir;
}

export async function play(example: Example, ask: Ask, folder: string, meddle?: AgentRun['meddle']): Promise<Played> {
  const main = startRepository(example, join(folder, 'main'));
  const settings = JSON.parse(readFileSync(join(main, 'agentswarm.json'), 'utf8')) as { setup: { command: string } };
  const setup = shell(main, settings.setup.command);
  if (setup.code !== 0) throw new Error(`setup failed: ${setup.output}`);
  const played: Played = { landed: [], plans: [], conflicts: [], failedAttempts: [], tree: main };
  const specs = new Map<string, TaskSpec>();
  const talk: Said[] = [
    { role: 'system', text: '# Root planner' },
    { role: 'user', text: readFileSync(join(example.dir, 'SPEC.md'), 'utf8') },
  ];
  for (let done = false; !done || played.landed.length < specs.size; ) {
    if (played.plans.length > 12) throw new Error('more than 12 rounds of planning');
    done = await planRound(ask, talk, specs, played);
    const news = await wave(example, ask, folder, specs, played, meddle);
    talk.push({ role: 'user', text: news });
  }
  return played;
}

async function planRound(ask: Ask, talk: Said[], specs: Map<string, TaskSpec>, played: Played): Promise<boolean> {
  for (;;) {
    const answer = await ask(talk, ROLE_TOOLS.planner.tools);
    talk.push({ role: 'assistant', text: answer.text, calls: answer.calls });
    const [first] = answer.calls;
    if (first === undefined) throw new Error('the planner called no tool');
    if (first.name !== 'submit_plan') {
      const results = answer.calls.map((call) => ({ callId: call.id, status: 'ok' as const, output: '(seen)' }));
      talk.push({ role: 'tool', results });
      continue;
    }
    const parsed = parseArguments('submit_plan', first.arguments);
    if (!parsed.ok) throw new Error(parsed.error);
    const known: KnownTask[] = [...specs.keys()].map((id) => ({ id, status: 'complete' }));
    const { errors } = checkPlan(parsed.value, known);
    if (errors.length > 0) throw new Error(errors.join('\n'));
    for (const task of parsed.value.tasks) specs.set(task.id, task);
    played.plans.push(parsed.value.tasks.map((task) => task.id));
    talk.push({ role: 'tool', results: [{ callId: first.id, status: 'ok', output: 'Accepted.' }] });
    return parsed.value.done;
  }
}

/** Does all that is ready, from one tip, lands it in order, and says what became of it. */
async function wave(
  example: Example,
  ask: Ask,
  folder: string,
  specs: Map<string, TaskSpec>,
  played: Played,
  meddle: AgentRun['meddle'],
): Promise<string> {
  const ready = [...specs.values()].filter(
    (task) => !played.landed.includes(task.id) && task.dependsOn.every((id) => played.landed.includes(id)),
  );
  const news: string[] = ['What is new.'];
  const finished: { id: string; dir: string }[] = [];
  for (const task of ready) {
    const dir = clone(played.tree, join(folder, `task-${task.id}`));
    for (let attempt = 1; ; attempt++) {
      const user = `Task: ${task.id}\nAttempt: ${attempt}\n\n${task.description}`;
      const handoff = await handoffOf({ ask, role: 'worker', system: '# Worker', user, dir, meddle });
      news.push(
        `### Handoff: ${task.id} (attempt ${attempt}): ${handoff.status}`,
        `summary: ${handoff.summary.replaceAll('\n', '\n  ')}`,
        ...handoff.concerns.map((concern) => `- concern: ${concern}`),
        ...handoff.suggestions.map((suggestion) => `- suggestion: ${suggestion}`),
      );
      if (handoff.status === 'complete') break;
      played.failedAttempts.push(`${task.id}.${attempt}`);
      if (attempt === MAX_ATTEMPTS) throw new Error(`${task.id} failed ${attempt} times: ${handoff.summary}`);
    }
    git(dir, 'add', '-A');
    git(dir, 'commit', '-qm', task.id);
    finished.push({ id: task.id, dir });
  }
  const events: string[] = [];
  for (const { id, dir } of finished) {
    await land(example, ask, { id, dir }, played, meddle);
    events.push(`- ${RUN_TEXT.landed(id, git(played.tree, 'rev-parse', 'HEAD'))}`);
    rmSync(dir, { recursive: true, force: true });
  }
  return [...news, '### Events', ...events].join('\n');
}

async function land(
  example: Example,
  ask: Ask,
  { id, dir }: { id: string; dir: string },
  played: Played,
  meddle: AgentRun['meddle'],
): Promise<void> {
  git(played.tree, 'fetch', '-q', dir, 'main');
  const merge = spawnSync('git', ['merge-tree', '--write-tree', '--name-only', 'HEAD', 'FETCH_HEAD'], {
    cwd: played.tree,
    encoding: 'utf8',
  });
  if (merge.status === 1) {
    const files = (merge.stdout.split('\n\n')[0] ?? '').split('\n').slice(1);
    played.conflicts.push({ task: id, files });
    git(dir, 'fetch', '-q', played.tree, 'main');
    spawnSync('git', ['checkout', '-q', '-B', 'landing', 'FETCH_HEAD'], { cwd: dir });
    spawnSync('git', ['-c', 'user.name=T', '-c', 'user.email=t@example.invalid', 'merge', '-q', 'main'], { cwd: dir });
    const user = `Task: ${id}\n\nConflicted files:\n${files.map((file) => `- ${file}`).join('\n')}\n\n## Both sides`;
    const handoff = await handoffOf({ ask, role: 'conflict', system: '# Conflict agent', user, dir, meddle });
    if (handoff.status !== 'complete') throw new Error(`${id}: the conflict is not resolved: ${handoff.summary}`);
    git(dir, 'add', '-A');
    git(dir, 'commit', '-qm', id);
    git(played.tree, 'fetch', '-q', dir, 'landing');
  }
  git(played.tree, 'merge', '-q', '--no-edit', 'FETCH_HEAD');
  played.landed.push(id);
}

/** A clone that uses what setup has made; nothing of it is committed. */
function clone(from: string, to: string): string {
  git(from, 'clone', '-q', from, to);
  for (const made of ['node_modules', '.venv'].filter((name) => existsSync(join(from, name)))) {
    symlinkSync(join(from, made), join(to, made));
    appendFileSync(join(to, '.git/info/exclude'), `${made}\n`);
  }
  return to;
}
