/** A worker whose sandboxes are on a Modal of the test's own, and secrets that only the worker may know. */
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import type { Script } from '../../examples/scripted-model/conversation.ts';
import { canary } from './canaries.ts';
import { ModalDouble } from './modal-double/server.ts';
import { bareRepository, temporaryFolder } from './repos.ts';
import { Swarm } from './swarm.ts';
import { temporal } from './temporal.ts';

export const secret = {
  id: canary('modal-id'),
  secret: canary('modal-secret'),
  llm: canary('llm'),
  git: canary('git'),
};

export const POLL = { timeout: 45_000, interval: 100 };

export async function modalSwarm(script: Script) {
  const folder = temporaryFolder('agentswarm-modal-swarm-');
  const dir = join(folder.dir, 'modal');
  const double = await ModalDouble.start(dir, { id: secret.id.value, secret: secret.secret.value });
  const origin = bareRepository(join(folder.dir, 'origin.git'), { 'list.txt': 'nothing\n' });
  const { address, client: connect, uniqueQueue } = await temporal();
  const client: Client = await connect();
  const queue = uniqueQueue();
  const swarm = await Swarm.start({
    client,
    address,
    taskQueue: queue,
    script,
    apiKey: secret.llm.value,
    config: { sandbox: { provider: 'modal', network: { allow: ['api.example.com'] } } },
    env: {
      MODAL_SERVER_URL: double.url,
      MODAL_TOKEN_ID: secret.id.value,
      MODAL_TOKEN_SECRET: secret.secret.value,
      AGENTSWARM_GIT_TOKEN: secret.git.value,
    },
  });
  return {
    client,
    queue,
    swarm,
    origin,
    double,
    /** The file systems of the double's sandboxes, also of those that have ended, are below it. */
    dir,
    async close() {
      await swarm.stop();
      await double.close();
      folder.remove();
    },
  };
}
export type ModalSwarm = Awaited<ReturnType<typeof modalSwarm>>;
