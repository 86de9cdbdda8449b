import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { afterAll, describe, expect, it } from 'vitest';
import { listensOn } from '../../../infra/temporal/listener.ts';

describe('the process that listens on a port', () => {
  const server = createServer();
  const other = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60_000)'], { stdio: 'ignore' });
  afterAll(() => {
    server.close();
    other.kill();
  });

  it('is told from one that does not, and from none', async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    expect(listensOn(process.pid, port)).toBe(true);
    expect(listensOn(other.pid ?? 0, port)).toBe(false);
    server.close();
    await once(server, 'close');
    expect(listensOn(process.pid, port)).toBe(false);
    expect(listensOn(2 ** 22 + 1, port)).toBeNull();
  });
});
