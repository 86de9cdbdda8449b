import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Conversation, roleOf, type Script, type ScriptCall } from '../../examples/scripted-model/conversation.ts';
import { nextTurn, step, write } from '../../examples/scripted-model/steps.ts';
import { nextPlannerTurn } from '../../examples/scripted-model/planning.ts';
import { readableText } from '../histories/store.ts';
import { allObjects, type Canary, canariesBelow, canariesIn, canary, formsOf } from '../support/canaries.ts';
import { type GitHttpServer, serveGit } from '../support/git-http.ts';
import { historiesOf } from '../support/model-calls.ts';
import { OwnServer } from '../support/own-server.ts';
import { bareRepository, temporaryFolder, type TestRepository } from '../support/repos.ts';
import { planned } from '../support/scenarios.ts';
import { Swarm } from '../support/swarm.ts';

const QUEUE = 'canaries';
const secret = {
  llm: canary('llm'),
  openai: canary('openai'),
  anthropic: canary('anthropic'),
  git: canary('git'),
  aws: canary('aws'),
  npm: canary('npm'),
  npmrc: canary('npmrc'),
  pip: canary('pip'),
};
const SECRETS: Canary[] = Object.values(secret);

/** Planted on purpose, one for each place: the search must find it there, or finding no secret means nothing. */
const plant = {
  environment: canary('environment'),
  arguments: canary('arguments'),
  file: canary('file'),
  encoded: canary('encoded'),
  setup: canary('setup'),
  hostArguments: canary('host-arguments'),
  serverLog: canary('server-log'),
  /** In the last words of an agent, which the worker keeps. */
  answer: canary('answer'),
};
/** Shown in logs, as the id of a task. */
const plantedTask: Canary = { name: 'task', value: 'planted-2f6c1e' };

/**
 * All that a process in the sandbox can see into one file: its environment and that of all processes, and every file
 * but those of system and toolchains, which are mounted read-only.
 */
const LOOK_AROUND = `
export PLANTED='${plant.environment.value}'
bash -c 'sleep 60; true' '${plant.arguments.value}' &
left_out=()
for mount in $(awk '$6 ~ /^ro/ { print $5 }' /proc/self/mountinfo); do
  case $mount in / | /etc* | /run*) ;; *) left_out+=(-path $mount -prune -o) ;; esac
done
{ env
  for p in /proc/[0-9]*; do cat $p/environ $p/cmdline; echo; done
  cat /proc/self/mountinfo
  find / -path /proc -prune -o -path /sys -prune -o -path /dev -prune -o "\${left_out[@]}" -type f ! -name dump ! -path '*/objects/*' -exec cat {} +
  find /usr/etc /usr/local/etc -type f -exec cat {} +
} > /tmp/dump 2>/dev/null
kill %1
touch /tmp/looked
for i in $(seq 600); do [ -e /tmp/go ] && break; sleep 0.1; done
`;

/** Not as it is: only in the other forms. */
const FORMS = formsOf(plant.encoded.value).slice(1).join('\n');

let failures = 2;
const script: Script = {
  name: 'canaries',
  answer(conversation: Conversation) {
    // An endpoint that repeats the key in its error.
    if (failures-- > 0) throw new Error(`the key ${secret.llm.value} is over its quota`);
    if (roleOf(conversation) === 'planner') {
      const task = planned(plantedTask.value, { scope: ['found.txt'] });
      return nextPlannerTurn(
        { look: [], goals: '', plan: () => ({ tasks: [task], done: true, reasoning: '' }) },
        conversation,
      );
    }
    const bash = (command: string): ScriptCall => ({ name: 'bash', arguments: { command, timeoutSeconds: 120 } });
    return nextTurn(
      {
        steps: [
          step('I leave traces.', write('found.txt', `${plant.file.value}\n${FORMS}\n`)),
          step('I look around.', bash(LOOK_AROUND)),
        ],
        handoff: { status: 'complete', summary: `Looked. ${plant.answer.value}` },
      },
      conversation,
    );
  },
};

describe('keys and tokens of the worker', () => {
  const folder = temporaryFolder('agentswarm-canaries-');
  let server: OwnServer;
  let git: GitHttpServer;
  let origin: TestRepository;
  let swarm: Swarm;
  const commandLines = new Set<string>();
  let watching: NodeJS.Timeout;

  beforeAll(async () => {
    server = await OwnServer.start(folder.dir);
    origin = bareRepository(join(folder.dir, 'repos', 'origin.git'));
    git = await serveGit(join(folder.dir, 'repos'), { auth: { user: 'x-access-token', password: secret.git.value } });
    const home = join(folder.dir, 'home');
    mkdirSync(home);
    writeFileSync(
      join(home, '.npmrc'),
      `registry=http://someone:${secret.npmrc.value}@127.0.0.1:9/\n//127.0.0.1:9/:_authToken=${secret.npmrc.value}\n`,
    );
    watching = setInterval(() => readCommandLines(commandLines), 20);
    spawn('sleep', ['1'], { argv0: plant.hostArguments.value });
    swarm = await Swarm.start({
      client: server.client,
      address: server.address,
      taskQueue: QUEUE,
      script,
      apiKey: secret.llm.value,
      env: {
        OPENAI_API_KEY: secret.openai.value,
        ANTHROPIC_API_KEY: secret.anthropic.value,
        AGENTSWARM_GIT_TOKEN: secret.git.value,
        AWS_SECRET_ACCESS_KEY: secret.aws.value,
        NPM_TOKEN: secret.npm.value,
        NPM_CONFIG_USERCONFIG: join(home, '.npmrc'),
        PIP_INDEX_URL: `http://someone:${encodeURIComponent(secret.pip.value)}@127.0.0.1:9/simple`,
      },
    });
  }, 90_000);

  afterAll(async () => {
    clearInterval(watching);
    await swarm?.stop();
    await git?.close();
    await server?.stop();
    folder.remove();
  });

  test('are in no sandbox, also not in that of setup, as seen from inside and from outside', async () => {
    await swarm.start('canaries', {
      repo: git.url('origin.git'),
      spec: { text: 'Look around.' },
      branch: 'main',
      settings: {
        setup: {
          command: `env > .seen; for p in /proc/[0-9]*; do cat $p/environ $p/cmdline; done >> .seen; cat ~/.npmrc ~/.config/pip/pip.conf >> .seen; echo '${plant.setup.value}' >> .seen; npm config list --json >> .seen || true`,
          network: 'full',
          keyFiles: [],
          timeoutMinutes: 2,
        },
      },
    });
    const open = await openSandbox(swarm);
    const dump = readFileSync(join(open, 'tmp', 'dump'));
    const planted = [plant.environment, plant.arguments, plant.file, plant.encoded, plant.setup];
    expect(canariesIn(dump, planted)).toEqual(planted.map(({ name }) => name));
    expect(canariesIn(dump, SECRETS)).toEqual([]);
    // Nor anything else of the worker's environment.
    expect(dump.includes('LLM_ENDPOINTS')).toBe(false);

    expect(canariesBelow(open, [plant.file])).toContain(`${join(open, 'workspace', 'found.txt')}: file`);
    expect(canariesBelow(open, SECRETS)).toEqual([]);
    writeFileSync(join(open, 'tmp', 'go'), '');
  }, 90_000);

  test('are in no history, decoded or as the server keeps it', async () => {
    const report = await server.client.workflow.getHandle('canaries').result();
    expect(report).toMatchObject({ status: 'complete', landed: 1 });
    expect(failures).toBeLessThanOrEqual(0);
    const histories = await historiesOf(server.client, QUEUE);
    const types = new Set(histories.map(({ type }) => type));
    expect(types).toEqual(new Set(['planner', 'task', 'agent', 'mergeQueue', 'reconciler']));
    const text = histories.map(({ history }) => readableText(JSON.parse(historyToJSON(history)))).join('\n');
    expect(canariesIn(text, [plant.file, plant.encoded, plant.environment])).toHaveLength(3);
    expect(canariesIn(text, SECRETS)).toEqual([]);

    const kept = Buffer.concat(
      readdirSync(folder.dir)
        .filter((name) => name.startsWith('temporal.db'))
        .map((name) => readFileSync(join(folder.dir, name))),
    );
    expect(canariesIn(kept, [plant.file])).toEqual(['file']);
    expect(canariesIn(kept, SECRETS)).toEqual([]);
  }, 60_000);

  test('are in no log, also not when an endpoint repeats its key in an error', () => {
    const log = readFileSync(swarm.logFile);
    expect(canariesIn(log, [plantedTask])).toEqual(['task']);
    expect(log.includes('is over its quota')).toBe(true);
    expect(canariesIn(log, SECRETS)).toEqual([]);
    appendFileSync(server.logFile, `${Buffer.from(`x${plant.serverLog.value}`).toString('base64')}\n`);
    expect(canariesIn(server.log(), [plant.serverLog])).toEqual(['server-log']);
    expect(canariesIn(server.log(), SECRETS)).toEqual([]);
  });

  test('are in no commit, tree or file that was pushed', () => {
    expect(git.requests.some(({ authorization }) => canariesIn(authorization ?? '', [secret.git]).length > 0)).toBe(
      true,
    );
    const objects = allObjects(origin.dir);
    expect(canariesIn(objects, [plant.file, plant.encoded])).toHaveLength(2);
    expect(canariesIn(objects, SECRETS)).toEqual([]);
    const mirrors = join(swarm.stateDir, 'mirrors');
    const repositories = readdirSync(mirrors).filter((name) => existsSync(join(mirrors, name, 'objects')));
    expect(repositories).toHaveLength(1);
    for (const name of repositories) {
      const mirrored = allObjects(join(mirrors, name));
      expect(canariesIn(mirrored, [plant.file])).toEqual(['file']);
      expect(canariesIn(mirrored, SECRETS)).toEqual([]);
    }
  });

  test('are on no command line of this machine, and in no file of the worker', () => {
    const seen = [...commandLines].join('\n');
    expect(canariesIn(seen, [plant.hostArguments])).toEqual(['host-arguments']);
    expect(seen).toMatch(/git\0.*(?:push|send-pack)/);
    expect(canariesIn(seen, SECRETS)).toEqual([]);
    expect(canariesBelow(swarm.stateDir, [plant.answer]).length).toBeGreaterThan(0);
    expect(canariesBelow(swarm.stateDir, SECRETS)).toEqual([]);
  });

  test('would be found in each of their forms', () => {
    const { value } = secret.git;
    for (const text of [
      value,
      encodeURIComponent(value),
      ...['', 'a', 'ab', 'x-access-token:'].map((before) => Buffer.from(`${before}${value}more`).toString('base64')),
      Buffer.from(`x${value}`).toString('base64url'),
      Buffer.from(value).toString('hex'),
    ]) {
      expect(canariesIn(`… ${text} …`, SECRETS)).toEqual(['git']);
    }
    expect(canariesIn('nothing', SECRETS)).toEqual([]);
  });
});

/** The folder of the one sandbox whose agent has looked around. */
async function openSandbox(swarm: Swarm): Promise<string> {
  const deadline = Date.now() + 80_000;
  for (;;) {
    const found = swarm
      .sandboxes()
      .map((id) => join(swarm.stateDir, 'sandboxes', id))
      .find((dir) => existsSync(join(dir, 'tmp', 'looked')));
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`no agent has looked around\n${swarm.logTail()}`);
    await sleep(100);
  }
}

function readCommandLines(into: Set<string>): void {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      into.add(readFileSync(`/proc/${pid}/cmdline`, 'latin1'));
    } catch {
      // It has ended meanwhile.
    }
  }
}
