import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { createRegistryFinder } from '../src/activities/sandbox/registries/find.ts';
import type { RegistryClient } from '../src/shared/sandbox/registries.ts';
import { createTestLog } from './support/log.ts';
import { gitIn, temporaryFolder } from './support/repos.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CLIENTS: readonly RegistryClient[] = ['npm', 'pnpm', 'yarn', 'pip', 'uv', 'cargo', 'go'];
/** What tools write of where they got a package from. */
const LOCKFILES = ['package-lock.json', 'go.sum', 'Cargo.lock', 'uv.lock', 'yarn.lock', 'pnpm-lock.yaml'];

const folder = temporaryFolder('agentswarm-registries-by-name-');
afterAll(() => folder.remove());

/** The hosts that this machine's clients name, with these settings; of those clients that are here. */
async function hostsWith(env: NodeJS.ProcessEnv, name: string): Promise<string[]> {
  const finder = createRegistryFinder({ dir: join(folder.dir, name), env, log: createTestLog() });
  const ends = await Promise.allSettled(CLIENTS.map((client) => finder.find([{ registry: 'npm', client }])));
  const found = ends.flatMap((end) => (end.status === 'fulfilled' ? end.value : []));
  return found.flatMap(({ hosts }) => hosts).map((entry) => entry.replace(/:\d+$/, ''));
}

/** `path: host` for each tracked file that names one of these hosts. */
function naming(dir: string, hosts: ReadonlySet<string>): string[] {
  return [...hosts].flatMap((host) => {
    const without = LOCKFILES.map((name) => `:(exclude,glob)**/${name}`);
    try {
      const argv = ['-C', dir, 'grep', '--untracked', '-lIiwF', '-e', host, '--', '.', ...without];
      return execFileSync('git', argv, { encoding: 'utf8' })
        .trim()
        .split('\n')
        .map((path) => `${path}: ${host}`);
    } catch (error) {
      // git grep's way to say that there is none.
      if ((error as { status?: number }).status === 1) return [];
      throw error;
    }
  });
}

test('no host of a package registry stands in the repository: its clients are asked', {
  timeout: 180_000,
}, async () => {
  const { HOME = '', PATH = '', RUSTUP_HOME = join(HOME, '.rustup'), PYENV_ROOT = join(HOME, '.pyenv') } = process.env;
  const bare = join(folder.dir, 'home');
  mkdirSync(bare);
  // As this machine is set up, and as the clients are by themselves.
  const [own, byDefault] = await Promise.all([
    hostsWith(process.env, 'own'),
    hostsWith({ PATH, HOME: bare, RUSTUP_HOME, PYENV_ROOT }, 'by-default'),
  ]);
  const hosts = new Set([...own, ...byDefault]);
  hosts.delete('localhost');
  expect(byDefault).not.toEqual([]);

  const seeded = join(folder.dir, 'seeded');
  mkdirSync(seeded);
  gitIn(seeded, ['init', '--quiet']);
  for (const host of hosts) {
    writeFileSync(join(seeded, 'settings.ts'), `const HOSTS = ['https://${host}/'];\n`);
    writeFileSync(join(seeded, 'package-lock.json'), `"https://${host}/"\n`);
    expect(naming(seeded, new Set([host]))).toEqual([`settings.ts: ${host}`]);
  }

  expect(naming(ROOT, hosts)).toEqual([]);
});
