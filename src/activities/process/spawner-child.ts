/** The process behind createSpawner: starts commands and tells how they ended. It lives as long as its parent. */
import { runProcess } from './run-process.ts';
import type { SpawnerReply, SpawnerRequest } from './spawner.ts';

const running = new Map<number, AbortController>();

const reply = (message: SpawnerReply): void => void process.send?.(message, () => undefined);

async function run({ id, argv, command }: Extract<SpawnerRequest, { kind: 'run' }>): Promise<void> {
  const stop = new AbortController();
  running.set(id, stop);
  try {
    const { stdin } = command;
    const given = stdin instanceof Uint8Array ? { stdin: Buffer.from(stdin) } : {};
    reply({ kind: 'ended', id, result: await runProcess(argv, { ...command, ...given, signal: stop.signal }) });
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    reply({ kind: 'failed', id, message, ...(code === undefined ? {} : { code }) });
  } finally {
    running.delete(id);
  }
}

process.on('message', (request: SpawnerRequest) => {
  if (request.kind === 'abort') running.get(request.id)?.abort();
  else void run(request);
});
// The worker has ended, however it did: sandboxed commands die with this process.
process.on('disconnect', () => process.exit(0));
// Ctrl-C on a terminal reaches the whole group; the worker decides when this ends.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
