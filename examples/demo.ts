/**
 * `npm run demo`: plays an example with a scripted model through the same command that any person uses, then
 * checks the result in a fresh clone. Exit code 0 only when the run is complete and the clone passes.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { helpOf } from '../infra/setup/help.mjs';
import { type Children, superviseChildren } from './demo/child.ts';
import { demoEnvironment } from './demo/environment.ts';
import { freshClone, landedCommits, makeOrigin } from './demo/origin.ts';
import { allowRegistries } from './demo/registries.ts';
import { demoText } from './demo/text.ts';
import { type Example, loadExample } from './scripted-model/example.ts';
import { type ScriptedModel, startScriptedModel } from './scripted-model/server.ts';

const AGENTSWARM = fileURLToPath(new URL('../bin/agentswarm.mjs', import.meta.url));
const DETACHED = 130;

type Options = {
  dir: string | undefined;
  example: string | undefined;
  workers: number;
  latencyMs: number;
  json: boolean;
  look: boolean;
};

/** What one demo has at hand. `say` is for people: standard error where standard output is for the report. */
type Demo = {
  dir: string;
  stateDir: string;
  example: Example;
  options: Options;
  model: ScriptedModel;
  env: NodeJS.ProcessEnv;
  children: Children;
  say: (text: string) => void;
};

/** What was wrong with the command line or the folder, as said to the person. */
class UsageError extends Error {}

function readOptions(argv: string[]): Options | null {
  const { values } = parseArgs({
    args: argv,
    options: {
      dir: { type: 'string' },
      example: { type: 'string' },
      workers: { type: 'string', default: '8' },
      'latency-ms': { type: 'string', default: '200' },
      json: { type: 'boolean', default: false },
      look: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  if (values.look && values.dir === undefined) throw new UsageError(demoText.lookWhere);
  const whole = (option: string, text: string, least: number): number => {
    if (/^\d{1,6}$/.test(text) && Number(text) >= least) return Number(text);
    throw new UsageError(demoText.whole(option, text, least));
  };
  return {
    dir: values.dir,
    example: values.example,
    workers: whole('workers', values.workers, 1),
    latencyMs: whole('latency-ms', values['latency-ms'], 0),
    json: values.json,
    look: values.look,
  };
}

/** The folder of the demo and the name of its example, which is kept in it. */
function openFolder({ dir: asked, example, look }: Options): { dir: string; name: string } {
  if (asked !== undefined) mkdirSync(resolve(asked), { recursive: true });
  const dir = realpathSync(asked === undefined ? mkdtempSync(join(tmpdir(), 'agentswarm-demo-')) : resolve(asked));
  const note = join(dir, 'example.txt');
  if (existsSync(note)) {
    const was = readFileSync(note, 'utf8').trim();
    if (example !== undefined && example !== was) throw new UsageError(demoText.otherExample(dir, was, example));
    return { dir, name: was };
  }
  if (look || readdirSync(dir).length > 0) throw new UsageError(demoText.notEmpty(dir));
  return { dir, name: example ?? 'ts-library' };
}

async function main(): Promise<number> {
  const children = superviseChildren();
  const options = readOptions(process.argv.slice(2));
  if (options === null) {
    console.log(helpOf('demo'));
    return 0;
  }
  const { dir, name } = openFolder(options);
  const example = await loadExample(name);
  writeFileSync(join(dir, 'example.txt'), `${name}\n`);
  if (!options.look) await allowRegistries(example, dir);
  const apiKey = randomBytes(16).toString('hex');
  const model = await startScriptedModel({
    script: example.script,
    latencyMs: options.latencyMs,
    apiKey,
    logFile: join(dir, 'model.ndjson'),
  });
  const out = options.json ? process.stderr : process.stdout;
  const say = (text: string): void => void out.write(`${text}\n`);
  const env = demoEnvironment(process.env, { dir, url: model.url, apiKey });
  const stateDir = join(dir, 'state');
  const demo: Demo = { dir, stateDir, example, options, model, env, children, say };
  try {
    say(demoText.scripted(name, model.url));
    return options.look ? await agentswarm(demo, ['dev', '--state-dir', stateDir]) : await runDemo(demo);
  } finally {
    await model.stop();
  }
}

async function runDemo(demo: Demo): Promise<number> {
  const { dir, stateDir, example, options, say, model } = demo;
  say(demoText.price);
  const fresh = !existsSync(join(dir, 'origin.git'));
  const origin = makeOrigin(example, dir);
  say(demoText.origin(origin, fresh));
  const run = `demo-${example.name}`;
  const common = ['--state-dir', stateDir, ...(options.json ? ['--json'] : [])];
  const start = ['run', origin, '--spec', 'SPEC.md', '--branch', 'main', '--max-workers', String(options.workers)];
  const over = new AbortController();
  const steered = steerOnce(demo, run, over.signal);
  const ended = await agentswarm(
    demo,
    existsSync(join(stateDir, 'temporal.db')) ? ['attach', run, ...common] : [...start, '--id', run, ...common],
  ).finally(() => over.abort());
  await steered;
  if (ended !== 0) {
    say(ended === DETACHED ? demoText.takeUp(dir, npm) : demoText.runEnded(ended));
    return ended;
  }
  const code = await check(demo, origin);
  if (code !== 0) return code;
  say(demoText.landed(await landedCommits(origin)));
  say(demoText.requests(model.log.length));
  say(demoText.where(dir, stateDir, npm));
  return 0;
}

/** Says to the planner what a person would, by the command that a person would use, once something has come back. */
async function steerOnce({ dir, stateDir, example, model, env, children, say }: Demo, run: string, over: AbortSignal) {
  const note = join(dir, 'steered.txt');
  const { steering } = example;
  if (steering === undefined || existsSync(note)) return;
  const handedOff = (): boolean => model.log.some(({ calls }) => calls.includes('submit_handoff'));
  while (!handedOff()) {
    if (over.aborted) return;
    await sleep(200);
  }
  if (over.aborted) return;
  const argv = ['steer', run, steering, '--state-dir', stateDir];
  say(demoText.steering(argv));
  const { code, output } = await children.run(process.execPath, [AGENTSWARM, ...argv], {
    cwd: dir,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  say(output.trimEnd());
  if (code === 0) writeFileSync(note, `${steering}\n`);
}

/** Clones the origin and runs the example's own checks there, as anyone would. */
async function check({ dir, example, children, say }: Demo, origin: string): Promise<number> {
  const clone = await freshClone(origin, dir);
  say(demoText.checking(clone, example.check));
  const PATH = `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`;
  const { code, output } = await children.run('bash', ['-c', example.check], {
    cwd: clone,
    env: { ...process.env, PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  say(code === 0 ? `${tail(output)}\n${demoText.checked}` : demoText.checkFailed(code, output));
  return code;
}

/** Runs the command as a person would, its output where ours is; the report is on its standard output. */
async function agentswarm({ dir, env, children, say }: Demo, argv: string[]): Promise<number> {
  say(demoText.command(argv));
  const { code } = await children.run(process.execPath, [AGENTSWARM, ...argv], { cwd: dir, env, stdio: 'inherit' });
  return code;
}

const tail = (text: string): string => text.trimEnd().split('\n').slice(-10).join('\n');
const npm = (options: string): string => `npm run demo -- ${options}`;

try {
  process.exitCode = await main();
} catch (error) {
  const usage = error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
  if (usage) console.error(`\n${helpOf('demo')}`);
  process.exitCode = usage ? 2 : 1;
}
