/** How far sandboxes on Modal are isolated and limited, and whether Modal takes the worker's token. */
import { probeModal } from '../activities/sandbox/modal/connection.ts';
import { modalNetwork } from '../activities/sandbox/modal/network.ts';
import type { Log } from '../activities/support/log.ts';
import type { Config } from '../shared/config/worker-config.ts';
import { rootMessage } from '../shared/base/failures.ts';
import type { Finding } from './finding.ts';

const ANSWER_MS = 15_000;
const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** Takes at most ANSWER_MS. Changes nothing on Modal. */
export async function examineModal(config: Config, env: NodeJS.ProcessEnv): Promise<Finding[]> {
  return [await isolation(config, env), network(config), ...limits(config)];
}

async function isolation({ sandbox: { modal } }: Config, env: NodeJS.ProcessEnv): Promise<Finding> {
  const name = 'isolation';
  const missing = ['MODAL_TOKEN_ID', 'MODAL_TOKEN_SECRET'].filter((each) => (env[each] ?? '') === '');
  if (missing.length > 0) {
    const found = `sandboxes on Modal, but ${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} not set`;
    return { name, state: 'missing', found, remedy: 'Set them in the worker’s environment.', blocks: true };
  }
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Modal did not answer within ${ANSWER_MS / 1_000} s`)), ANSWER_MS);
  });
  try {
    const { appIsThere } = await Promise.race([probeModal({ config: modal, env, log: quiet }), late]);
    const app = `app ${modal.app}${appIsThere ? '' : ' (will be made)'}`;
    return { name, state: 'full', found: `Modal's (gVisor); it takes the token; ${app}` };
  } catch (error) {
    return {
      name,
      state: 'missing',
      found: `sandboxes on Modal: ${rootMessage(error).split('\n')[0]}`,
      remedy: 'Check MODAL_TOKEN_ID, MODAL_TOKEN_SECRET, sandbox.modal and the way to api.modal.com.',
      blocks: true,
    };
  } finally {
    clearTimeout(timer);
  }
}

function network({ sandbox: { network: setting } }: Config): Finding {
  const name = 'network of agents';
  try {
    modalNetwork(setting, 'sandbox.network');
  } catch (error) {
    return { name, state: 'missing', found: rootMessage(error), blocks: true };
  }
  if (setting === 'none') return { name, state: 'full', found: 'none: blocked by Modal' };
  const remedy = 'Set sandbox.network to "none", or to {"allow": […]}.';
  if (setting === 'full') return { name, state: 'partly', found: 'full: agents reach all of the internet', remedy };
  return { name, state: 'full', found: `by Modal: TLS on port 443 to ${setting.allow.join(', ')}` };
}

function limits({ sandbox: { limits: of, modal } }: Config): Finding[] {
  return [
    {
      name: 'limit: memory',
      state: 'full',
      found: `${modal.memoryMb} MB and ${modal.cpu} cores of a sandbox, by Modal (sandbox.modal)`,
    },
    { name: 'limit: processes', state: 'full', found: `${of.processes} of a sandbox's user, by a resource limit` },
    { name: 'limit: open files', state: 'full', found: `${of.openFiles} of one process, by a resource limit` },
    { name: 'limit: file size', state: 'full', found: `${of.fileSizeMb} MB, by a resource limit` },
    { name: 'limit: CPU time', state: 'full', found: `${of.cpuSeconds} s of one process, by a resource limit` },
    { name: 'limit: time', state: 'full', found: 'of one command as the agent asks, at most 1800 s' },
    { name: 'limit: output', state: 'full', found: `${of.outputMb} MB of one command` },
    {
      name: 'limit: disk',
      state: 'partly',
      found: `${of.diskMb} MB and ${of.files} files of a sandbox, by looking twice a second: not a quota`,
      remedy: 'Modal has no quota that its SDK can set; what a command writes between two looks is not prevented.',
    },
  ];
}
