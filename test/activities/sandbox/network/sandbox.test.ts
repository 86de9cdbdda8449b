import { readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runTool } from '../../../../src/activities/sandbox/tools/index.ts';
import { Config } from '../../../../src/shared/config/worker-config.ts';
import { type NetworkHost, networkHost } from './host.ts';
import { outside } from './support.ts';

describe('a sandbox with an allowlist', () => {
  let web: Awaited<ReturnType<typeof outside>>;
  let host: NetworkHost;
  let id: string;
  beforeAll(async () => {
    web = await outside((request, response) => {
      if (request.url === '/redirect') response.writeHead(302, { Location: 'http://evil.test/' }).end();
      else response.end(`outside ${request.url}\n`);
    });
    host = await networkHost({ network: { allow: [`web.test:${web.port}`] } });
    id = await host.create();
  });
  afterAll(async () => {
    web.close();
    await host.close();
  });

  it('reaches a listed host with the usual programs, by request and by tunnel', async () => {
    const url = `http://web.test:${web.port}`;
    const { output, refused } = await host.bash(
      id,
      `curl -sS ${url}/curl; curl -sS --proxytunnel ${url}/tunnel
       node -e "fetch('${url}/node').then((r) => r.text()).then(console.log)"
       python3 -c "import urllib.request; print(urllib.request.urlopen('${url}/python').read().decode())"
       git ls-remote ${url}/git 2>&1 | head -1`,
    );
    for (const path of ['curl', 'tunnel', 'node', 'python']) expect(output).toContain(`outside /${path}\n`);
    expect(web.requests.map((request) => request.url)).toContain('/git/info/refs?service=git-upload-pack');
    expect(refused).toEqual([]);
  });

  it('reaches nothing else, and the agent is told which host and which list', async () => {
    const before = web.connections();
    const limits = Config.parse({}).sandbox.limits;
    const command = [
      `curl -sS http://evil.test:${web.port}/`,
      'curl -sS https://evil.test/',
      `curl -sSL --max-time 5 http://web.test:${web.port}/redirect`,
      `curl -sS --noproxy '*' --max-time 2 http://127.0.0.1:${web.port}/`,
      `curl -sS --noproxy '*' --max-time 2 http://web.test:${web.port}/`,
      `curl -sS --max-time 2 -x socks5h://127.0.0.1:3128 http://web.test:${web.port}/`,
      `curl -sS --unix-socket /run/network/proxy.sock -x '' http://127.0.0.1:${web.port}/`,
      `printf 'CONNECT 127.0.0.1:${web.port} HTTP/1.1\\r\\nHost: 127.0.0.1:${web.port}\\r\\n\\r\\n' > /dev/tcp/127.0.0.1/3128`,
      'getent hosts web.test evil.test',
      'cat /proc/net/route | tail -n +2; ls /sys/class/net 2>/dev/null',
      'timeout 2 bash -c "echo > /dev/udp/8.8.8.8/53"',
      'true',
    ].join('\n');
    const call = { id: '1', name: 'bash', arguments: JSON.stringify({ command }) };
    const { output, status } = await runTool({ provider: host.provider, limits }, id, call, { outputFile: '1.txt' });
    expect(status).toBe('ok');
    expect(output).toContain(`evil.test port ${web.port} is not on this run's allowlist (sandbox.network.allow)`);
    expect(output).toMatch(/\n\[Network: evil\.test port 443 is not on [^\n]* Allowed: web\.test:\d+\. [^\n]*\]/);
    expect(output).toMatch(/\[Network: evil\.test port 80 is not on/);
    // The redirect's first half was allowed; nothing else went out.
    expect(web.connections()).toBe(before + 1);
    expect(host.log.lines.map(({ fields }) => fields)).toContainEqual(
      expect.objectContaining({ sandbox: id, reason: 'not on the allowlist', host: 'evil.test', port: 443 }),
    );
  });

  it('has the network for commands that ask for it only, and leaves nothing when they have ended', async () => {
    const look = 'ls -A /run/network 2>&1; env | grep -ci proxy; ls -A ~';
    const { output } = await host.bash(id, look, { network: 'none' });
    expect(output).toMatch(/cannot access[^\n]*\n0\n$/);
    expect((await host.bash(id, look)).output).toMatch(/^npmrc\npip\.conf\nproxy\.sock\n\d+\n$/);
    expect(readdirSync(join(host.stateDir, 'sandboxes', id, 'network'))).toEqual([]);
  });

  it('cannot write where its socket is', async () => {
    const { output } = await host.bash(
      id,
      'for f in npmrc proxy.sock x; do rm -f /run/network/$f; touch /run/network/$f; mv ~ /run/network/$f; done; ls /run/network',
    );
    expect(output).toMatch(/npmrc\npip\.conf\nproxy\.sock\n$/);
    expect(output.match(/Read-only file system/g)?.length).toBeGreaterThanOrEqual(5);
  });

  it('gives the command no child that it did not start, its exit code, input and arguments as they are', async () => {
    const children = await host.bash(id, "python3 -c 'import os; os.wait()'");
    expect(children.output).toContain('ChildProcessError');
    const odd = ['/bin/bash', '-c', 'cat; printf "%s|" "$@"; exit 7', 'x', 'a b', '$(id)', '', "'\n"];
    const ran = await host.provider.exec(id, odd, {
      stdin: 'input\n',
      timeoutMs: 10_000,
      network: { allow: ['web.test'] },
    });
    expect(ran.stdout.toString()).toBe("input\na b|$(id)||'\n|");
    expect(ran).toMatchObject({ exitCode: 7, stderr: '', reason: 'exit' });
  });

  it('ends its connections and their holders with the command', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined).resume()).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    const closed = once(silent, 'connection').then(([socket]) => once(socket as NodeJS.EventEmitter, 'close'));
    const ran = await host.provider.exec(id, ['/bin/bash', '-c', `curl -s http://web.test:${port}/`], {
      timeoutMs: 1_500,
      network: { allow: [`web.test:${port}`] },
    });
    expect(ran.reason).toBe('timeout');
    await closed;
    silent.close();
  });

  it('keeps a state folder whose path is longer than a socket may have', async () => {
    expect(join(host.stateDir, 'sandboxes', id, 'network').length + 36 + 11).toBeGreaterThan(107);
    expect((await host.bash(id, `curl -sS http://web.test:${web.port}/long`)).output).toBe('outside /long\n');
  });
});

describe('a setup with network "full"', () => {
  let web: Awaited<ReturnType<typeof outside>>;
  const hosts: NetworkHost[] = [];
  beforeAll(async () => {
    web = await outside((request, response) => void response.end(`outside ${request.url}\n`));
  });
  afterAll(async () => {
    web.close();
    for (const host of hosts) await host.close();
  });
  async function start(options: Parameters<typeof networkHost>[0]): Promise<{ host: NetworkHost; id: string }> {
    const host = await networkHost(options);
    hosts.push(host);
    return { host, id: await host.create('setup') };
  }
  /** The worker of these tests may stand behind a proxy of its own. */
  const noProxy = { http_proxy: '', https_proxy: '', all_proxy: '', HTTP_PROXY: '', HTTPS_PROXY: '', ALL_PROXY: '' };
  const loopback = () => `curl -sS --noproxy '*' --max-time 5 http://127.0.0.1:${web.port}/loopback 2>&1`;

  it('reaches every name, by the usual programs, but neither the host’s loopback nor a private address', async () => {
    const { host, id } = await start({
      env: noProxy,
      resolve: (name) =>
        Promise.resolve([{ address: name.startsWith('private') ? '10.1.2.3' : '127.0.0.1', family: 4 }]),
    });
    const command = `
      curl -sS http://one.test:${web.port}/one; curl -sS --proxytunnel http://two.example:${web.port}/two
      node -e "fetch('http://three.example:${web.port}/three').then((r) => r.text()).then(console.log)"
      curl -sS -o /dev/null -w '%{http_code}\\n' http://private.example/; curl -sS http://127.0.0.1:${web.port}/literal
      ${loopback()}; getent hosts one.test; true`;
    const { output, refused } = await host.bash(id, command, { network: 'full' });
    for (const path of ['one', 'two', 'three']) expect(output).toContain(`outside /${path}\n`);
    expect(output).not.toMatch(/outside \/(?:literal|loopback)/);
    expect(output).toMatch(/^403$/m);
    expect(refused.join('\n')).toMatch(/private\.example is allowed, but its address 10\.1\.2\.3 is private/);
  });

  it('shares the worker’s own network where its owner gives agents that, or the worker is behind a proxy', async () => {
    for (const options of [{ network: 'full' as const }, { env: { HTTPS_PROXY: 'http://127.0.0.1:9' } }]) {
      const { host, id } = await start(options);
      expect((await host.bash(id, loopback(), { network: 'full' })).output).toBe('outside /loopback\n');
    }
  });
});
