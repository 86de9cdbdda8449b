/** A swarm on the tests' shared server for the tests of one `describe`, begun before the first and stopped after the last. */
import { afterAll, beforeAll } from 'vitest';
import { Swarm, type SwarmOptions } from './swarm.ts';
import { temporal } from './temporal.ts';

type Given = Omit<SwarmOptions, 'client' | 'address' | 'taskQueue'>;

async function begin(swarm: Swarm, given: Given, queue?: string): Promise<void> {
  const { address, client, uniqueQueue } = await temporal();
  await swarm.begin({ ...given, client: await client(), address, taskQueue: queue ?? uniqueQueue() });
}

/** On a task queue of its own. `given` may be a function, where what it takes is made before the tests only. */
export function useSwarm(given: Given | (() => Given | Promise<Given>)): Swarm {
  const swarm = new Swarm();
  beforeAll(async () => begin(swarm, typeof given === 'function' ? await given() : given), 60_000);
  afterAll(() => swarm.stop(), 60_000);
  return swarm;
}

/** Several hosts that share the server, and a task queue where the same one is given. */
export function useHosts(given: Given): (queue?: string) => Promise<Swarm> {
  const hosts: Swarm[] = [];
  afterAll(async () => {
    for (const host of hosts) await host.stop();
  }, 60_000);
  return async (queue) => {
    const host = new Swarm();
    hosts.push(host);
    await begin(host, given, queue);
    return host;
  };
}
