/** What the guides say of settings, variables, files and dependencies is what the code has. */
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { Dependencies } from '../src/cli/dependencies.ts';
import { runCli } from '../src/cli/program.ts';
import { Config, type ConfigInput, EndpointConfig, EndpointFromEnv } from '../src/shared/config/worker-config.ts';
import { DEFAULT_RUN_SETTINGS, RunSettingsInput, Setup } from '../src/shared/contracts/run-settings.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const CONFIGURATION = read('docs/configuration.md');
const README = read('README.md');

type Row = { first: string; cells: string[] };

/** The rows of the tables below a heading, or below any: their first cell's code spans, one row for each. */
function rows(text: string, heading?: string): Row[] {
  const part = heading === undefined ? text : (text.split(/^## /m).find((each) => each.startsWith(heading)) ?? '');
  return part
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map(cellsOf)
    .flatMap((cells) => spans(cells[0] ?? '').map((first) => ({ first, cells })));
}

const cellsOf = (line: string): string[] =>
  line
    .slice(1, -1)
    .split('|')
    .map((cell) => cell.trim());

const spans = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, span]) => span ?? '');

/** The part of a section from the line that starts with `start`. */
const from = (text: string, start: string): string => text.slice(text.indexOf(start));

type JsonSchema = { properties?: Record<string, JsonSchema>; anyOf?: JsonSchema[] };
const schemaOf = (schema: z.ZodType): JsonSchema =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;

/** Dotted paths of a schema's leaves; what is below one of `whole` is told in a table of its own. */
function leaves(schema: JsonSchema, whole: readonly string[], path = ''): string[] {
  const { properties } = schema;
  if (properties === undefined || whole.includes(path)) return [path];
  return Object.entries(properties).flatMap(([key, value]) =>
    leaves(value, whole, path === '' ? key : `${path}.${key}`),
  );
}

const keysOf = (schema: z.ZodType): string[] => Object.keys(schemaOf(schema).properties ?? {});

function valueAt(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], value);
}

/** A default as the tables write it. */
function asWritten(value: unknown): string {
  if (value === undefined) return '';
  if (value === null) return 'none';
  if (typeof value === 'string') return `\`${value}\``;
  return typeof value === 'object' ? `\`${JSON.stringify(value)}\`` : String(value);
}

const RUN_PART = CONFIGURATION.split(/^## /m).find((part) => part.startsWith('`agentswarm.json`')) ?? '';
const [RUN_TABLE = '', SETUP_TABLE = ''] = RUN_PART.split('| key of `setup` |');

test('the table of temporal.config.ts names exactly the keys of its schema, with their defaults', () => {
  const table = rows(CONFIGURATION, '`temporal.config.ts`');
  expect(table.map(({ first }) => first)).toEqual(leaves(schemaOf(Config), ['run', 'llm.endpoints']));
  const defaults = Config.parse({} satisfies ConfigInput);
  const told = Object.fromEntries(table.map(({ first, cells }) => [first, cells[1]]));
  const given = Object.fromEntries(table.map(({ first }) => [first, asWritten(valueAt(defaults, first))]));
  expect(told).toEqual({ ...given, 'temporal.namespace': '`default`' });
});

test('the table of a run’s settings names exactly the keys of their schema, with their defaults', () => {
  const table = rows(RUN_TABLE);
  expect(table.map(({ first }) => first)).toEqual(
    leaves(schemaOf(RunSettingsInput), ['agent.planner', 'agent.worker', 'agent.conflict', 'author', 'setup']),
  );
  const { author, agent } = DEFAULT_RUN_SETTINGS;
  for (const { first, cells } of table) {
    const value = valueAt(DEFAULT_RUN_SETTINGS, first);
    const { planner, worker, conflict } = agent;
    const limits = Object.entries({ planner, worker, conflict }).find(([role]) => first === `agent.${role}`)?.[1];
    const expected =
      first === 'author'
        ? `\`${author.name} <${author.email}>\``
        : limits === undefined
          ? asWritten(value)
          : `${limits.turns} turns, ${limits.tokens.toLocaleString('en')} tokens, ${limits.costUsd} USD, ${limits.minutes} minutes`;
    expect(`${first}: ${cells[1]}`).toBe(`${first}: ${expected}`);
  }
});

test('the table of setup names exactly its keys, with their defaults', () => {
  const table = rows(SETUP_TABLE);
  expect(table.map(({ first }) => first)).toEqual(Object.keys(Setup.shape));
  const defaults = Setup.parse({ command: 'x' });
  for (const { first, cells } of table.filter(({ first: key }) => key !== 'command')) {
    expect(`${first}: ${cells[1]}`).toBe(`${first}: ${asWritten(valueAt(defaults, first))}`);
  }
});

test('the table of an endpoint names exactly its keys', () => {
  const named = rows(CONFIGURATION, 'Models').map(({ first }) => first);
  expect(named.toSorted()).toEqual(keysOf(EndpointFromEnv).toSorted());
  expect(keysOf(EndpointConfig)).not.toContain('apiKey');
});

test('the README’s short table says nothing else than the long ones', () => {
  const long = [...rows(CONFIGURATION), ...rows(RUN_TABLE)];
  const short = README.split('\n')
    .filter((line) => /^\| (?:environment|`agentswarm\.json`|`temporal\.config\.ts`) \|/.test(line))
    .map(cellsOf);
  expect(short.length).toBeGreaterThan(8);
  for (const [where = '', keys = '', standard = ''] of short) {
    for (const key of spans(keys)) {
      const row = long.find(({ first }) => first === key);
      expect(row, `${key} is not in docs/configuration.md`).toBeDefined();
      if (where !== 'environment') expect(`${key}: ${standard}`).toBe(`${key}: ${row?.cells[1]}`);
    }
  }
});

/** What our code reads of the environment, by the ways in which it does. */
function variablesRead(): Set<string> {
  const names = new Set<string>();
  for (const file of globSync(['src/**/*.ts', 'infra/temporal/*.{ts,mjs}', 'bin/*.mjs'], { cwd: ROOT })) {
    const text = read(file);
    for (const [, dotted, quoted] of text.matchAll(
      /\b(?:env|variables|environment)(?:\.([A-Z][A-Z0-9_]*)\b|\[['"]([A-Z][A-Z0-9_]*)['"]\])/g,
    )) {
      names.add(dotted ?? quoted ?? '');
    }
    for (const [, prefix] of text.matchAll(/(?:openai|anthropic): '([A-Z]+)'/g)) {
      for (const [, name] of text.matchAll(/\bread\('([A-Z_]+)'\)/g)) names.add(`${prefix}_${name}`);
    }
    for (const [, list] of text.matchAll(/const (?:ALWAYS|FOR_[A-Z]+|kept) = (\[[^;]*\]);/g)) {
      for (const [, name] of (list ?? '').matchAll(/'([A-Z][A-Z0-9_]*)'/g)) names.add(name ?? '');
    }
  }
  return names;
}

/** Locale and tuning of other programs, which they get as they are. */
const HANDED_ON = ['LANG', 'TZ', 'TMPDIR', 'HOME', 'USER', 'LOGNAME', 'GOMAXPROCS', 'GOMEMLIMIT'];

test('every environment variable that the code reads is documented', () => {
  const read = variablesRead();
  expect(read.size).toBeGreaterThan(30);
  const section = CONFIGURATION.split(/^## /m).find((part) => part.startsWith('Environment variables')) ?? '';
  const told = new Set(spans(section));
  expect([...read].filter((name) => !told.has(name) && !HANDED_ON.includes(name)).toSorted()).toEqual([]);
});

test('every environment variable in the table is read, by us or by the library that it is for', () => {
  const ours = variablesRead();
  const libraries = [
    '@temporalio/envconfig/lib',
    '@opentelemetry/exporter-trace-otlp-proto',
    '@opentelemetry/otlp-exporter-base',
  ]
    .flatMap((name) => globSync(`node_modules/${name}/**/*.js`, { cwd: ROOT }))
    .map(read)
    .join('\n');
  const told = rows(CONFIGURATION, 'Environment variables').map(({ first }) => first);
  expect(told.length).toBeGreaterThan(25);
  expect(told.filter((name) => !ours.has(name) && !libraries.includes(name))).toEqual([]);
});

test('the command’s help names only variables that are documented', () => {
  const help = from(read('src/cli/text.ts'), 'Environment:').split('` as const')[0]?.split('`,')[0] ?? '';
  const named = [...help.matchAll(/\b[A-Z]+(?:_[A-Z]+)+\b/g)].map(([name]) => name);
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => !CONFIGURATION.includes(`\`${name}\``))).toEqual([]);
});

test('messages in the troubleshooting guide are said by the code', () => {
  const code = globSync(['src/**/*.ts', 'infra/**/*.{ts,mjs}'], { cwd: ROOT }).map(read).join('\n');
  const said = rows(read('docs/troubleshooting.md')).flatMap(({ first }) =>
    first.split('…').map((part) => part.trim()),
  );
  const pieces = said.filter((part) => part.replace(/[^A-Za-z]/g, '').length >= 6);
  expect(pieces.length).toBeGreaterThan(12);
  expect(pieces.filter((piece) => !code.includes(piece))).toEqual([]);
});

const GUIDES = ['README.md', 'AGENTS.md', 'findings/README.md', ...globSync('docs/**/*.md', { cwd: ROOT })];

test.each(GUIDES)('links and paths in %s lead to files', (guide) => {
  const text = read(guide);
  const links = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, link]) => link ?? '');
  const lost = links.filter((link) => !/^https?:/.test(link) && !existsSync(resolve(ROOT, dirname(guide), link)));
  const paths = spans(text).filter((span) => /^(?:src|test|infra|docs|examples|prompts|bench)\/[\w./-]+$/.test(span));
  expect([...lost, ...paths.filter((path) => !existsSync(join(ROOT, path)))]).toEqual([]);
});

test('JSON in the guides is JSON, and settings among it fit their schema', () => {
  const blocks = [...`${README}\n${CONFIGURATION}`.matchAll(/```json\n([\s\S]*?)```/g)].map(([, block]) => block ?? '');
  expect(blocks.length).toBeGreaterThanOrEqual(2);
  for (const block of blocks) RunSettingsInput.parse(JSON.parse(block));
});

test('every npm script that the guides name is in package.json', () => {
  const { scripts } = z.object({ scripts: z.record(z.string(), z.string()) }).parse(JSON.parse(read('package.json')));
  const named = GUIDES.flatMap((guide) =>
    [...read(guide).matchAll(/npm (?:run ([\w:]+)|(test)\b)/g)].map(([, name, test]) => name ?? test ?? ''),
  );
  expect(named.length).toBeGreaterThan(10);
  expect([...new Set(named)].filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
});

/** What the command says of itself when it is asked for help: asking uses nothing of its dependencies but the version. */
async function helpOf(...command: string[]): Promise<{ code: number; text: string }> {
  let text = '';
  const out = { write: (more: string): void => void (text += more) };
  const io = { stdout: out, stderr: out, cwd: ROOT, env: {} };
  const code = await runCli([...command, '--help'], io, { version: '0.0.0' } as unknown as Dependencies);
  return { code, text };
}

/**
 * The command lines of `agentswarm` in a guide: in its blocks of shell commands, and in code spans. Without comments,
 * and with what stands in quotes left out.
 */
function commandLines(guide: string): string[] {
  const text = read(guide);
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) => (block ?? '').split('\n'));
  return [...blocks, ...spans(text)]
    .map((line) =>
      line
        .replace(/^npx /, '')
        .replace(/\s#.*$/, '')
        .replace(/"[^"]*"/g, ''),
    )
    .filter((line) => line.startsWith('agentswarm '));
}

test.each(GUIDES.filter((guide) => commandLines(guide).length > 0))(
  'the commands and options of agentswarm in %s exist',
  async (guide) => {
    for (const line of commandLines(guide)) {
      const [, name = '', second = ''] = line.split(/\s+/);
      if (!/^[a-z]/.test(name)) {
        expect(['-V', '--version', '-h', '--help', '<']).toContain(/^<|^…/.test(name) ? '<' : name);
        continue;
      }
      const nested = name === 'schedule' && /^[a-z]/.test(second) ? [name, second] : [name];
      const { code, text } = await helpOf(...nested);
      expect({ line, code }).toEqual({ line, code: 0 });
      expect(text.split('\n')[0], line).toContain(`Usage: agentswarm ${nested.join(' ')} `);
      for (const [option] of line.matchAll(/(?<=\s)--[a-z][a-z-]*/g)) expect(text, line).toContain(`${option} `);
    }
  },
);

test('the README’s table of commands leaves none out', async () => {
  const { text } = await helpOf();
  const there = [...text.matchAll(/^ {2}([a-z]+) .*$/gm)]
    .map(([, name]) => name ?? '')
    .filter((name) => name !== 'help');
  expect(there.length).toBeGreaterThan(15);
  const told = rows(README, 'Commands').flatMap(({ first }) => [...first.matchAll(/^(?:agentswarm )?([a-z]+)/g)]);
  expect(new Set(told.map(([, name]) => name))).toEqual(new Set(there.filter((name) => !/^\d/.test(name))));
});

test('what the README starts with is there: two commands, a picture, a model', () => {
  const start = README.split('\n').slice(0, 60).join('\n');
  for (const each of ['npm run demo', 'npm test', 'npx agentswarm doctor', 'npx agentswarm run', '_API_KEY='])
    expect(start).toContain(each);
  const picture = /!\[.{20,}\]\((docs\/[^)]+\.svg)\)/.exec(start)?.[1] ?? '';
  const drawn = read(picture);
  expect(drawn).toMatch(/<title[^>]*>.+<\/title>/);
  expect(drawn).toContain('prefers-color-scheme: dark');
  for (const noun of ['planner', 'task', 'sandbox', 'merge queue', 'your branch']) expect(drawn).toContain(noun);
});

test('every figure of docs/performance.md says what bounds it, and the command that measures it', () => {
  const table = read('docs/performance.md')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1)
    .map(cellsOf);
  expect(table.length).toBeGreaterThan(10);
  const benchmarks = globSync('bench/*/index.ts', { cwd: ROOT }).map((file) => dirname(file).split('/').at(-1));
  for (const [what = '', result = '', bound = '', command = ''] of table) {
    expect(result, what).toMatch(/\d/);
    expect(bound, what).not.toBe('');
    const name = /^`npm run (?:bench -- ([a-z]+)( --[a-z]+)*|demo)`$/.exec(command);
    expect(name, `${what}: ${command}`).not.toBeNull();
    if (name?.[1] !== undefined) expect(benchmarks).toContain(name[1]);
  }
});

test('every find is a script that can be run, and stands in the table of finds', () => {
  const finds = globSync('findings/*.sh', { cwd: ROOT })
    .map((file) => file.slice('findings/'.length))
    .filter((name) => name !== 'run-all.sh');
  expect(finds.length).toBeGreaterThan(0);
  expect(
    rows(read('findings/README.md'))
      .map(({ first }) => first)
      .toSorted(),
  ).toEqual(finds.toSorted());
  for (const name of [...finds, 'run-all.sh']) {
    expect(statSync(join(ROOT, 'findings', name)).mode & 0o111, name).toBe(0o111);
    expect(read(`findings/${name}`), name).toMatch(/^#!\/usr\/bin\/env bash\n# \S/);
  }
});

test('AGENTS.md has at most 100 lines', () => {
  expect(read('AGENTS.md').trimEnd().split('\n').length).toBeLessThanOrEqual(100);
});

test('every decision states need, choice, runner-up, why and cost', () => {
  const incomplete = globSync('docs/decisions/*.md', { cwd: ROOT }).flatMap((file) => {
    const [, ...sections] = read(file).split(/^## /m);
    const decisions = sections.length === 0 ? [read(file)] : sections;
    return decisions
      .filter((text) => !['Need', 'Choice', 'Runner-up', 'Why', 'Cost'].every((part) => text.includes(`**${part}:**`)))
      .map((text) => `${file}: ${text.split('\n')[0]}`);
  });
  expect(incomplete).toEqual([]);
});

test('every dependency has its decision', () => {
  const { dependencies, devDependencies } = z
    .object({ dependencies: z.record(z.string(), z.string()), devDependencies: z.record(z.string(), z.string()) })
    .parse(JSON.parse(read('package.json')));
  const chosen = globSync('docs/decisions/*.md', { cwd: ROOT })
    .flatMap((file) => read(file).split('\n'))
    .filter((line) => /^#+ |^- \*\*Choice:/.test(line))
    .flatMap((line) => line.split(/[\s`(),;:]+/));
  // Types follow what they are types of; OpenTelemetry's and the SDK's packages were chosen as one.
  const family = (name: string): boolean =>
    chosen.includes(name) || /^@types\/|^@opentelemetry\/|^@temporalio\/(?!testing|envconfig)/.test(name);
  expect([...Object.keys(dependencies), ...Object.keys(devDependencies)].filter((name) => !family(name))).toEqual([]);
});
