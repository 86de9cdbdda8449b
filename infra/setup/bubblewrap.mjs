import { readFileSync } from 'node:fs';
import { run, tail, which } from '../lib/run.mjs';
import { StepError } from '../lib/step-error.mjs';
import { canInstall, installLine } from './packages.mjs';

const STEP = 'bubblewrap (sandboxes)';

/**
 * Looks for a bubblewrap that can make a sandbox here; as root on a system with apt, installs it and says so.
 *
 * @param {{ say: (line: string) => void }} options
 * @returns {Promise<string>} the version
 * @throws {StepError} with the exact line that mends it
 */
export async function checkBubblewrap({ say }) {
  if (process.platform !== 'linux') {
    throw new StepError(
      STEP,
      `agents run in sandboxes made by bubblewrap, which needs Linux; this is ${process.platform}`,
      'run AgentSwarm in a Linux virtual machine (Lima, OrbStack, UTM, WSL 2) or on a Linux server with Debian ' +
        'or Ubuntu, or let workers run there and use this machine for the `agentswarm` command only ' +
        '(TEMPORAL_ADDRESS).',
    );
  }
  if (which('bwrap') === null) {
    if (!canInstall()) throw new StepError(STEP, 'there is no `bwrap` on the PATH', installLine('bubblewrap'));
    await aptInstall(say);
  }
  const bwrap = which('bwrap') ?? 'bwrap';
  const version = await run(bwrap, ['--version'], { timeoutMs: 20_000 });
  const trial = await run(
    bwrap,
    [
      '--unshare-all',
      '--die-with-parent',
      '--ro-bind',
      '/',
      '/',
      '--proc',
      '/proc',
      '--dev',
      '/dev',
      bwrap,
      '--version',
    ],
    { timeoutMs: 20_000 },
  );
  if (trial.code !== 0) {
    throw new StepError(STEP, `\`bwrap\` is there but makes no sandbox:\n${tail(trial.output, 4)}`, whyNot());
  }
  return version.output.trim().replace(/^bubblewrap /, '');
}

/** @param {(line: string) => void} say */
async function aptInstall(say) {
  say('bubblewrap is missing; installing it, as this is root: apt-get install -y bubblewrap');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = () =>
    run('apt-get', ['install', '-y', '--no-install-recommends', 'bubblewrap'], { env, timeoutMs: 5 * 60_000 });
  let result = await install();
  if (result.code !== 0) {
    say('that failed; refreshing the package lists first: apt-get update');
    const update = await run('apt-get', ['update'], { env, timeoutMs: 5 * 60_000 });
    result = await install();
    if (result.code !== 0) result.output = `${tail(update.output, 4)}\n${result.output}`;
  }
  if (which('bwrap') === null) {
    throw new StepError(
      STEP,
      `\`apt-get install -y bubblewrap\` failed:\n${tail(result.output)}`,
      installLine('bubblewrap'),
    );
  }
}

/** What keeps unprivileged users from making namespaces, by the switches that distributions have for it. */
function whyNot() {
  if (readSwitch('/proc/sys/kernel/apparmor_restrict_unprivileged_userns') === '1') {
    return (
      'AppArmor restricts user namespaces here (Ubuntu 24.04 and later). Allow them: ' +
      '`sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, or give bwrap an AppArmor profile with `userns`.'
    );
  }
  if (readSwitch('/proc/sys/kernel/unprivileged_userns_clone') === '0') {
    return 'allow user namespaces: `sudo sysctl -w kernel.unprivileged_userns_clone=1`';
  }
  if (readSwitch('/proc/sys/user/max_user_namespaces') === '0') {
    return 'allow user namespaces: `sudo sysctl -w user.max_user_namespaces=10000`';
  }
  return (
    'in a container, give it the right to make namespaces (docker run --privileged, or --security-opt ' +
    'seccomp=unconfined --security-opt apparmor=unconfined --cap-add SYS_ADMIN).'
  );
}

/** @param {string} file */
function readSwitch(file) {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return null; // this kernel does not have the switch
  }
}
