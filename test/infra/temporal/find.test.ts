import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findServer } from '../../../infra/temporal/find.mjs';
import { cacheFolder, pinnedVersion } from '../../../infra/temporal/version.mjs';

const GOOD = 'temporal version 1.8.2 (Server 1.31.2, UI 2.50.1)';
/** In place of Node: the SDK's download fails at once, whatever the network allows. */
const NO_DOWNLOAD = '/bin/false';

let folder: string;
let env: NodeJS.ProcessEnv;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'find-'));
  mkdirSync(join(folder, 'bin'));
  env = { PATH: join(folder, 'bin'), XDG_CACHE_HOME: join(folder, 'cache'), GOROOT: join(folder, 'no-go') };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function script(file: string, text: string): void {
  writeFileSync(file, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o755);
}
const onPath = (name: string, text: string): void => script(join(folder, 'bin', name), text);
function inCache(text: string): string {
  mkdirSync(cacheFolder(env), { recursive: true });
  script(join(cacheFolder(env), 'temporal'), text);
  return join(cacheFolder(env), 'temporal');
}

/** A compiler that takes a while and counts how often it was asked. */
const GO = (log: string): string => `
export PATH=/usr/bin:/bin
if [ "$1" = env ]; then echo go1.26.4; exit; fi
echo build >> ${log}
echo "go: downloading example.com/module v1.0.0" >&2
while [ "$1" != -o ]; do shift; done
sleep 0.5
printf '#!/bin/sh\\necho "${GOOD}"\\n' > "$2"; chmod +x "$2"`;

test('the one on the PATH is taken first', async () => {
  onPath('temporal', `echo "${GOOD}"`);
  inCache(`echo "${GOOD}"`);
  expect(await findServer({ env })).toMatchObject({ file: join(folder, 'bin', 'temporal'), source: 'path' });
});

test('one on the PATH whose server is too old is said and passed over for the cache', async () => {
  onPath('temporal', 'echo "temporal version 1.1.0 (Server 1.25.0, UI 2.30.0)"');
  const file = inCache(`echo "${GOOD}"`);
  const said: string[] = [];
  expect(await findServer({ env, say: (line) => said.push(line) })).toMatchObject({ file, source: 'cache' });
  expect(said.join('\n')).toMatch(/bin\/temporal is not used: its server is too old .*1\.25\.0.*1\.29/);
});

test('what is in the cache but does not run is got anew', async () => {
  inCache('echo "Exec format error" >&2; exit 126');
  onPath('go', GO(join(folder, 'log')));
  expect(await findServer({ env, node: NO_DOWNLOAD })).toMatchObject({ source: 'build' });
});

test('where nothing helps, the error names every place that was tried and three remedies', async () => {
  const failure = await findServer({ env, node: NO_DOWNLOAD }).catch((error: unknown) => String(error));
  for (const part of ['no `temporal` on the PATH', 'nothing in the cache', 'the SDK', 'no `go` on the PATH']) {
    expect(failure).toContain(part);
  }
  for (const remedy of ['install Go', '`temporal` on the PATH', 'TEMPORAL_ADDRESS']) expect(failure).toContain(remedy);
});

test('a build that fails shows what Go said and leaves nothing in the cache', async () => {
  onPath('go', 'if [ "$1" = env ]; then echo go1.26.4; exit; fi; echo "module lookup: proxy is away" >&2; exit 1');
  const failure = await findServer({ env, node: NO_DOWNLOAD }).catch((error: unknown) => String(error));
  expect(failure).toContain('proxy is away');
  expect(readdirSync(cacheFolder(env))).toEqual([]);
});

test('two processes that need it at once build it once', async () => {
  onPath('go', GO(join(folder, 'log')));
  const module = join(import.meta.dirname, '../../../infra/temporal/find.mjs');
  const code =
    `const { findServer } = await import(${JSON.stringify(module)});` +
    `console.log((await findServer({ env: process.env, node: '${NO_DOWNLOAD}' })).source)`;
  const children = [1, 2].map(() => spawn(process.execPath, ['--input-type=module', '-e', code], { env }));
  const sources = await Promise.all(
    children.map(async (child) => {
      let out = '';
      child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
      await once(child, 'close');
      return out.trim();
    }),
  );
  expect(sources.sort()).toEqual(['build', 'cache']);
  expect(readFileSync(join(folder, 'log'), 'utf8')).toBe('build\n');
});

test('the cache is keyed by the version that go.mod pins', () => {
  expect(pinnedVersion()).toMatch(/^\d+\.\d+\.\d+$/);
  expect(cacheFolder(env)).toBe(join(folder, 'cache', 'agentswarm', 'temporal', pinnedVersion()));
});

test('a link on the PATH that leads nowhere is no server', async () => {
  symlinkSync('/nowhere', join(folder, 'bin', 'temporal'));
  const file = inCache(`echo "${GOOD}"`);
  expect(await findServer({ env })).toMatchObject({ file, source: 'cache' });
});
