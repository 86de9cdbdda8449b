/**
 * The way from the sandbox's own loopback to the proxy's socket: a small Node inside the sandbox, for as long as one
 * command runs. It decides nothing: whoever talks to the socket directly meets the same rules.
 */

/** Where everything of the network is inside, read-only. */
export const NETWORK_INSIDE = '/run/network';
/** Free in a fresh network namespace; registries have the ports after it. */
export const PROXY_PORT = 3128;

/**
 * `$1` Node, `$2` its program, `$3` the ports. The forwarder is no child of the command, whose `wait` may ask for
 * all that it has. It says "ready" and closes its output once it listens.
 */
const START = `ports=$3
said=$( ("$1" --v8-pool-size=0 -e "$2" ${NETWORK_INSIDE}/proxy.sock $ports 2>&1 &) )
[ "$said" = ready ] || { echo "The sandbox's network could not be started: $said" >&2; exit 125; }
shift 3
exec "$@"`;

/** argv to put before a command inside the sandbox. @param variables those whose names a shell would drop. */
export function startForwarder(options: {
  node: string;
  ports: readonly number[];
  variables: Readonly<Record<string, string>>;
}): string[] {
  const { node, ports, variables } = options;
  const assignments = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  const env = assignments.length === 0 ? [] : ['/usr/bin/env', ...assignments];
  return ['/bin/sh', '-c', START, 'sh', node, `(${String(forward)})()`, ports.join(' '), ...env];
}

/** Runs inside: it is sent as its text, so it uses nothing of this module. */
function forward(): void {
  const net = process.getBuiltinModule('node:net');
  const fs = process.getBuiltinModule('node:fs');
  const [, path = '', ...ports] = process.argv;
  let waiting = ports.length;
  for (const port of ports) {
    const server = net.createServer({ allowHalfOpen: true }, (client) => {
      const proxy = net.connect({ path, allowHalfOpen: true });
      const end = () => {
        client.destroy();
        proxy.destroy();
      };
      client.on('error', end).pipe(proxy);
      proxy.on('error', end).pipe(client);
      client.once('close', end);
      proxy.once('close', end);
    });
    server.listen(Number(port), '127.0.0.1', 511, () => {
      waiting -= 1;
      if (waiting > 0) return;
      fs.writeSync(1, 'ready');
      for (const fd of [1, 2]) {
        fs.closeSync(fd);
        fs.openSync('/dev/null', 'w');
      }
    });
  }
}
