/** The Temporal server that all test files share; started by the first that asks. */
import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { afterAll, inject } from 'vitest';

export interface TestTemporal {
  /** host:port. */
  address: string;
  namespace: string;
  /** One for the test file; closed after its tests. */
  client(): Promise<Client>;
  /** For `Worker.create`; one for the test file, closed after its tests: shut workers down before. */
  workerConnection(): Promise<NativeConnection>;
  /** A task queue that no other test uses. */
  uniqueQueue(): string;
  /** For `Worker.create({ workflowBundle })`: the product's workflows, bundled once for all test files. */
  workflowBundle(): Promise<{ codePath: string }>;
}

let connection: Promise<Connection> | undefined;
let nativeConnection: Promise<NativeConnection> | undefined;

afterAll(async () => {
  const open = [connection, nativeConnection];
  connection = nativeConnection = undefined;
  for (const each of open) await (await each)?.close();
});

/** Throws with the reason when the server cannot be got or started. */
export async function temporal(): Promise<TestTemporal> {
  const address = await ask('/temporal');
  return {
    address,
    namespace: 'default',
    async client() {
      return new Client({ connection: await (connection ??= Connection.connect({ address })) });
    },
    workerConnection: () => (nativeConnection ??= NativeConnection.connect({ address })),
    uniqueQueue: () => `test-${randomUUID()}`,
    workflowBundle: sharedWorkflowBundle,
  };
}

/** The product's workflows, bundled once for all test files; without a server. */
export async function sharedWorkflowBundle(): Promise<{ codePath: string }> {
  return { codePath: await ask('/workflow-bundle') };
}

async function ask(service: string): Promise<string> {
  const response = await fetch(`${inject('sharedServices')}${service}`);
  const text = await response.text();
  if (!response.ok) throw new Error(`The tests' shared ${service} could not be got: ${text}`);
  return text;
}
