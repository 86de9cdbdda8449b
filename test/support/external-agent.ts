/** Real coding agents from npm, installed once for each machine outside of the checkout. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Sandboxes see neither the home nor /tmp of the host. */
const PLACE = '/var/tmp';

type Wanted = {
  name: string;
  pack: string;
  version: string;
  /** Of its own, below its package, that puts the program in its place. */
  script?: string;
};

/** @returns the folder of the program `name`. @throws with npm's words when it cannot be installed. */
function installed({ name, pack, version, script }: Wanted): string {
  const prefix = join(PLACE, `agentswarm-test-${name}-${version}`);
  const bin = join(prefix, 'bin');
  if (existsSync(join(bin, name))) return bin;
  const beside = mkdtempSync(join(PLACE, `agentswarm-test-${name}-`));
  const spec = `${pack}@${version}`;
  const argv = ['install', '--global', '--prefix', beside, '--ignore-scripts', '--no-audit', '--no-fund', spec];
  const run = (program: string, args: string[]): void => {
    const { status, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 300_000 });
    if (status !== 0) throw new Error(`${program} could not install ${spec} (${status}): ${stderr.slice(-2_000)}`);
  };
  run('npm', argv);
  if (script !== undefined) run(process.execPath, [join(beside, 'lib', 'node_modules', pack, script)]);
  try {
    renameSync(beside, prefix);
  } catch (error) {
    // Another test was faster.
    if (!existsSync(join(bin, name))) throw error;
    rmSync(beside, { recursive: true, force: true });
  }
  return bin;
}

export const installPi = (): string =>
  installed({ name: 'pi', pack: '@earendil-works/pi-coding-agent', version: '0.87.1' });

/** Some 390 MB. */
export const installClaude = (): string =>
  installed({ name: 'claude', pack: '@anthropic-ai/claude-code', version: '2.1.332', script: 'install.cjs' });

/** What `agent.argv` is for Claude Code, with what the gateway sets and nothing else. */
export const CLAUDE_ARGV = [
  'bash',
  '-c',
  'IS_SANDBOX=1 exec claude -p "$(cat "$AGENTSWARM_TASK_FILE")" --dangerously-skip-permissions < /dev/null',
];

/** Settings of an endpoint, as pi wants them: in a file of the sandbox's home, which has no key. */
const MODELS = JSON.stringify({
  providers: {
    agentswarm: {
      baseUrl: 'http://127.0.0.1:3100/v1',
      api: 'openai-completions',
      apiKey: '$OPENAI_API_KEY',
      models: [{ id: 'agentswarm' }],
    },
  },
});

/** What `agent.argv` is for pi. */
export const PI_ARGV = [
  'bash',
  '-c',
  `export PI_OFFLINE=1 PI_CODING_AGENT_DIR="$HOME/pi"; mkdir -p "$HOME/pi"; printf %s '${MODELS}' > "$HOME/pi/models.json"; ` +
    'exec pi -p --no-session --provider agentswarm --model agentswarm "$(cat "$AGENTSWARM_TASK_FILE")" < /dev/null',
];
