/** A company's mirror that the worker's own user has set up: `setup` asks it too, through the proxy. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../support/repos.ts';
import { type Mirror, startMirror } from '../registries/mirror.ts';
import { type NetworkHost, networkHost } from './host.ts';

const LOCAL = 'http://127.0.0.1:3129';
const has = (program: string) =>
  (process.env.PATH ?? '').split(':').some((folder) => existsSync(`${folder}/${program}`));

describe("a mirror in the host's own settings", () => {
  const folder = temporaryFolder('agentswarm-mirror-');
  let mirror: Mirror;
  let host: NetworkHost;
  beforeAll(async () => {
    mirror = await startMirror('mirror.test');
    const put = (path: string, text: string): string => {
      mkdirSync(join(folder.dir, path, '..'), { recursive: true });
      writeFileSync(join(folder.dir, path), text);
      return join(folder.dir, path);
    };
    put(
      'cargo/config.toml',
      `[source.crates-io]\nreplace-with = "company"\n[source.company]\nregistry = "sparse+${mirror.origin}/cargo/"\n`,
    );
    host = await networkHost({
      env: {
        CARGO_HOME: join(folder.dir, 'cargo'),
        GOENV: put('go.env', `GOPROXY=${mirror.origin}/go,direct\nGOSUMDB=off\n`),
        UV_CONFIG_FILE: put('uv.toml', `[[index]]\nurl = "${mirror.origin}/simple"\ndefault = true\n`),
        TOKEN: 'a-token',
      },
      registryTokens: { TOKEN: ['https://private.test/'] },
    });
  });
  afterAll(async () => {
    mirror.close();
    await host.close();
    folder.remove();
  });
  const network = () => ({ allow: [mirror.index, mirror.files] });
  const inSetup = async (command: string, more: object = { network: network() }) =>
    await host.bash(await host.create('setup'), command, more);

  it.skipIf(!has('cargo'))('is asked by cargo', { timeout: 120_000 }, async () => {
    await inSetup(
      `mkdir src && touch src/lib.rs && printf '[package]\\nname = "x"\\nversion = "0.0.0"\\n[dependencies]\\nitoa = "1"\\n' > Cargo.toml
       CARGO_NET_RETRY=0 cargo fetch`,
    );
    expect(mirror.asked).toContain('/cargo/it/oa/itoa');
  });

  it.skipIf(!has('go'))('is asked by go', { timeout: 120_000 }, async () => {
    await inSetup(
      `printf 'module x\\n\\ngo 1.21\\n\\nrequire github.com/google/uuid v1.6.0\\n' > go.mod; go mod download`,
    );
    expect(mirror.asked).toContain('/go/github.com/google/uuid/@v/v1.6.0.zip');
  });

  it.skipIf(!has('uv'))('is asked by uv', { timeout: 120_000 }, async () => {
    await inSetup(
      `printf '[project]\\nname = "x"\\nversion = "0"\\nrequires-python = ">=3"\\ndependencies = ["six"]\\n' > pyproject.toml
       UV_HTTP_RETRIES=0 uv lock`,
    );
    expect(mirror.asked).toContain('/simple/six/');
  });

  it.skipIf(!has('go') || !has('cargo'))(
    'stays beside a private registry of go and cargo where it may be reached, and only there',
    { timeout: 120_000 },
    async () => {
      const registries = ['go', 'cargo'].map((kind) => ({
        url: `https://private.test/${kind}/`,
        tokenEnv: 'TOKEN',
        kind,
      }));
      const seen = async (allow: string[]) =>
        (await inSetup('echo $GOPROXY; cat /.cargo/config.toml', { registries, network: { allow } })).output;
      const open = await seen(network().allow);
      expect(open).toContain(`${LOCAL}/go,${mirror.origin}/go\n`);
      expect(open).toMatch(/\[source\.crates-io\]\nreplace-with = "company"/);
      const closed = await seen(['elsewhere.test']);
      expect(closed).toContain(`${LOCAL}/go\n`);
      expect(closed).toMatch(/\[source\.crates-io\]\nreplace-with = "agentswarm-0"/);
    },
  );
});
