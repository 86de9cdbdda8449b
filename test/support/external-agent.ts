/** A real open-source coding agent from npm, installed once for each machine outside of the checkout. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const PI = '@earendil-works/pi-coding-agent@0.87.1';

/** Sandboxes see neither the home nor /tmp of the host. */
const PLACE = '/var/tmp';

/** @returns the folder of the program `pi`. @throws with npm's words when it cannot be installed. */
export function installPi(): string {
  const prefix = join(PLACE, 'agentswarm-test-pi-0.87.1');
  const bin = join(prefix, 'bin');
  if (existsSync(join(bin, 'pi'))) return bin;
  const beside = mkdtempSync(join(PLACE, 'agentswarm-test-pi-'));
  const argv = ['install', '--global', '--prefix', beside, '--ignore-scripts', '--no-audit', '--no-fund', PI];
  const { status, stderr } = spawnSync('npm', argv, { encoding: 'utf8', timeout: 300_000 });
  if (status !== 0) throw new Error(`npm could not install ${PI} (${status}): ${stderr.slice(-2_000)}`);
  try {
    renameSync(beside, prefix);
  } catch (error) {
    // Another test was faster.
    if (!existsSync(join(bin, 'pi'))) throw error;
    rmSync(beside, { recursive: true, force: true });
  }
  return bin;
}

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
