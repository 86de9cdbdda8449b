/** The process behind createSpawner: starts commands and tells how they ended. It lives as long as its parent. */
import { type ExecResult, runProcess } from './run-process.ts';
import { createShells, type ShellSpec } from './shells.ts';
import type { SpawnerReply, SpawnerRequest } from './spawner.ts';

const running = new Map<number, AbortController>();

const reply = (message: SpawnerReply): void => void process.send?.(message, () => undefined);

const shells = createShells();
const specs = new Map<number, ShellSpec>();

type Asked = Exclude<SpawnerRequest, { kind: 'abort' | 'shell' }>;

async function answer(request: Asked): Promise<void> {
  const stop = new AbortController();
  const { id } = request;
  running.set(id, stop);
  try {
    reply({ kind: 'ended', id, result: await run(request, stop.signal) });
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    reply({ kind: 'failed', id, message, ...(code === undefined ? {} : { code }) });
  } finally {
    running.delete(id);
  }
}

async function run(request: Asked, signal: AbortSignal): Promise<ExecResult | null> {
  switch (request.kind) {
    case 'run': {
      const { stdin } = request.command;
      const given = stdin instanceof Uint8Array ? { stdin: Buffer.from(stdin) } : {};
      return runProcess(request.argv, { ...request.command, ...given, signal });
    }
    case 'run in shell': {
      const spec = specs.get(request.shell);
      // Nothing was run then.
      return spec === undefined ? null : await shells.run(spec, request.argv, { ...request.command, signal });
    }
    case 'end shells':
      for (const [shell, { owner }] of specs) if (owner === request.owner) specs.delete(shell);
      await shells.end(request.owner);
      return null;
  }
}

process.on('message', (request: SpawnerRequest) => {
  if (request.kind === 'abort') running.get(request.id)?.abort();
  else if (request.kind === 'shell') specs.set(request.shell, request.spec);
  else void answer(request);
});
// The worker has ended, however it did: sandboxed commands die with this process.
process.on('disconnect', () => process.exit(0));
// Ctrl-C on a terminal reaches the whole group; the worker decides when this ends.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
