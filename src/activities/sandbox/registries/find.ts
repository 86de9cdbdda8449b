/**
 * Where package registries are, as the clients of the worker's host say. Invariants:
 * 1. A client runs in a folder of ours below the state folder: nothing of a repository and nothing that others may
 *    write says where a registry is.
 * 2. It runs with the host's settings for it, and with no other secret of the worker.
 */
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { withLock } from '../../../../infra/lib/lock.mjs';
import { FailureType, terminal } from '../../../shared/base/failures.ts';
import { parseAllowEntry } from '../../../shared/contracts/network.ts';
import type { FoundRegistry, RegistryClient } from '../../../shared/sandbox/registries.ts';
import { type RunProcess, runProcess } from '../../process/run-process.ts';
import type { Log } from '../../support/log.ts';
import { proxySettings } from '../network/client-settings.ts';
import type { RegistryFinder } from '../network/registry-finder.ts';
import { type ClientAnswer, CLIENTS, type PackageClient } from './clients.ts';
import { openRecorder } from './recorder.ts';

type Env = Readonly<Record<string, string | undefined>>;
type Answer = Omit<FoundRegistry, 'registry' | 'client'>;
type Ran = { ok: true; stdout: string } | { ok: false; why: string };

const COMMAND_MS = 60_000;
/** An answer without a hitch is kept for the process; one with is asked for again, as what was wrong may have passed. */
const INCOMPLETE_MS = 60_000;

/** The programs', the user's, and what these clients read: no key of a model, no token of git. */
const PASSED_ON =
  /^(?:PATH|HOME|USER|LOGNAME|LANG|TMPDIR|LC_\w+|XDG_\w+|npm_config_.+|(?:PIP|UV|CARGO|RUSTUP|YARN|PYENV|COREPACK)_\w+|GO(?:PROXY|NOPROXY|SUMDB|NOSUMDB|PRIVATE|INSECURE|ENV|ROOT)|NODE_EXTRA_CA_CERTS|SSL_CERT_(?:FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE)$/i;

/**
 * @param deps.dir absolute, below the state folder; made when it is needed.
 * @param deps.env the worker's.
 */
export function createRegistryFinder(deps: { dir: string; env: Env; log: Log; run?: RunProcess }): RegistryFinder {
  const { dir, env, log, run = runProcess } = deps;
  const cached = new Map<RegistryClient, { answer: Promise<Answer>; until: number }>();

  function answerOf(client: RegistryClient): Promise<Answer> {
    const before = cached.get(client);
    if (before !== undefined && Date.now() < before.until) return before.answer;
    const folder = join(dir, client);
    // A worker that ends may ask at the same time as the one that takes its place.
    const answer = withLock(`${folder}.lock`, () => askClient({ name: client, dir: folder, env, run }));
    const entry = { answer, until: Number.POSITIVE_INFINITY };
    cached.set(client, entry);
    answer.then(
      (found) => {
        if (found.incomplete !== undefined) entry.until = Date.now() + INCOMPLETE_MS;
        log.info({ client, ...found }, 'a package client of this host was asked where its registry is');
      },
      () => cached.delete(client),
    );
    return answer;
  }

  return {
    find: (questions) =>
      Promise.all(questions.map(async (question) => ({ ...question, ...(await answerOf(question.client)) }))),
  };
}

/** One client, in a folder of its own, which is gone afterwards. */
async function askClient(about: { name: RegistryClient; dir: string; env: Env; run: RunProcess }): Promise<Answer> {
  const { name, dir, env, run } = about;
  const client = CLIENTS[name];
  await rm(dir, { recursive: true, force: true });
  const recorder = await openRecorder();
  try {
    await layOut(client, dir, env);
    const clean = Object.entries(env).filter(
      (entry): entry is [string, string] => PASSED_ON.test(entry[0]) && entry[1] !== undefined,
    );
    const shared = { ...Object.fromEntries(clean), ...recorded(recorder.url), ...client.env(dir) };
    const command = async (argv: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Ran> =>
      await runIn(run, dir, argv, { ...shared, ...more });
    const ran: Ran[] = [];
    for (const argv of client.ask) ran.push(await command(argv));
    const answer = client.read(ran.flatMap((each) => (each.ok ? [each.stdout] : [])));
    const install = client.install(answer);
    const installed = install === undefined ? undefined : await command(install.argv, install.env);
    const asked = recorder.asked().map(({ host, port }) => entryOf(host, String(port)));
    return judge(name, answer, asked, [...ran, ...(installed === undefined ? [] : [installed])], installed);
  } finally {
    await recorder.close();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Through the recorder goes all, and not only what the host has no other proxy for. */
const recorded = (url: string): Record<string, string> => ({
  ...proxySettings(url),
  no_proxy: '',
  NO_PROXY: '',
  npm_config_noproxy: '',
  PIP_PROXY: url,
  CARGO_HTTP_PROXY: url,
});

function judge(
  name: RegistryClient,
  { urls, besides }: ClientAnswer,
  asked: readonly string[],
  ran: readonly Ran[],
  installed: Ran | undefined,
): Answer {
  const named = [...urls, ...besides].map((url) => {
    const { hostname, port } = new URL(url);
    return entryOf(hostname, port);
  });
  const all = [...new Set([...named, ...asked])];
  const hosts = all.filter((entry) => parseAllowEntry(entry).ok);
  if (hosts.length > 0) {
    return { hosts, urls: urls.map(withoutUser), ...(installed?.ok === false ? { incomplete: installed.why } : {}) };
  }
  const why =
    all.length > 0 ? `it names ${all.join(', ')}, which is no host name` : ran.findLast((each) => !each.ok)?.why;
  throw terminal(
    FailureType.BadInput,
    `setup is detected, but ${name} of the worker's host does not say where its registry is: ${why ?? 'its settings name no host'}.`,
    `Name the hosts that it may reach, "setup": {"network": {"allow": ["registry.example.com"]}} in agentswarm.json, or install and set up ${name} where the worker runs.`,
  );
}

/** Without the user and password that a URL of the host's settings may have. */
const withoutUser = (text: string): string => text.replace(/:\/\/[^/?#\s]*@/g, '://');

/** An allowlist's entry: 443 and 80 go without saying. */
const entryOf = (host: string, port: string): string => (/^(?:|443|80)$/.test(port) ? host : `${host}:${port}`);

async function layOut(client: PackageClient, dir: string, env: Env): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  for (const [path, text] of Object.entries(client.files)) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), text);
  }
  const settings = client.settings?.({ env, home: env.HOME ?? homedir() });
  if (settings === undefined) return;
  await mkdir(join(dir, settings.to), { recursive: true });
  for (const name of settings.names) {
    const from = join(settings.from, name);
    if (existsSync(from)) await symlink(from, join(dir, settings.to, name));
  }
}

/** What a client says of its failure: its last line that is no stack, hint or path of a log file. */
function lastLine(stderr: string): string {
  const answer = stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^at |complete log|debug-\d|^info /.test(line));
  return (answer.findLast((line) => /error/i.test(line)) ?? answer.at(-1) ?? '').slice(0, 200);
}

async function runIn(
  run: RunProcess,
  cwd: string,
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Ran> {
  const shown = `\`${argv[0] === '/bin/sh' ? argv.slice(3).join(' ') : argv.join(' ')}\``;
  try {
    const { exitCode, reason, stdout, stderr } = await run(argv, { cwd, env, timeoutMs: COMMAND_MS });
    if (exitCode === 0 && reason === 'exit') return { ok: true, stdout: stdout.toString() };
    const ended = reason === 'timeout' ? `did not end within ${COMMAND_MS / 1_000} s` : `ended with code ${exitCode}`;
    const last = withoutUser(lastLine(stderr));
    return { ok: false, why: `${shown} ${ended}${last === '' ? '' : `: ${last}`}` };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return { ok: false, why: `${argv[0]} is not on the worker's PATH` };
  }
}
