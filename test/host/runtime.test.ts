import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import pino from 'pino';
import { expect, test } from 'vitest';
import { installRuntime } from '../../src/host/runtime.ts';
import { Config } from '../../src/shared/config/worker-config.ts';

test('an address for metrics that is taken is named, with the setting', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bindAddress = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const install = () =>
    installRuntime({ log: pino({ level: 'silent' }), metrics: { prometheus: { bindAddress } }, histogramBuckets: {} });
  try {
    expect(install).toThrow(`Metrics cannot be served on ${bindAddress} (metrics.prometheus.bindAddress)`);
  } finally {
    server.close();
  }
});

test('an address for metrics is an IP address and a port', () => {
  const parse = (bindAddress: string) => Config.safeParse({ metrics: { prometheus: { bindAddress } } });
  for (const right of ['127.0.0.1:9464', '[::1]:9464', '0.0.0.0:1']) expect(parse(right).success).toBe(true);
  for (const wrong of ['9464', 'localhost:9464', '127.0.0.1', 'http://127.0.0.1:9464']) {
    expect(parse(wrong).error?.issues[0]?.message).toContain('expected an IP address and a port');
  }
});
