import { describe, expect, it } from 'vitest';
import { Config } from '../../../src/shared/config/worker-config.ts';
import {
  isAllowed,
  kindOf,
  NetworkSetting,
  parseAllowEntry,
  Registry,
  trustedRegistries,
} from '../../../src/shared/contracts/network.ts';
import { describeIssues, RunSettingsInput } from '../../../src/shared/contracts/run-settings.ts';

const rulesOf = (...entries: string[]) =>
  entries.map((entry) => {
    const parsed = parseAllowEntry(entry);
    if (!parsed.ok) throw new Error(`${entry}: ${parsed.reason}`);
    return parsed.rule;
  });

const problemsOf = (value: unknown): string => {
  const { error } = Config.safeParse(value);
  return error === undefined ? '' : describeIssues(error, '');
};

describe('an allowlist', () => {
  it('means the name itself or all names below it, with their ports, 443 and 80 unless one is given', () => {
    const rules = rulesOf('One.Example.', '*.two.example', 'three.example:8443', 'bücher.example');
    const allowed = [
      ...(['one.example:443', 'one.example:80', 'a.two.example:443', 'a.b.two.example:80'] as const),
      ...(['three.example:8443', 'xn--bcher-kva.example:443'] as const),
    ];
    const others = [
      ...(['one.example:22', 'a.one.example:443', 'xone.example:443', 'two.example:443', 'xtwo.example:443'] as const),
      ...(['three.example:443', 'one.example.evil.example:443', 'example:443'] as const),
    ];
    const ask = (text: string) => isAllowed(rules, text.split(':')[0] ?? '', Number(text.split(':')[1]));
    expect(allowed.filter((each) => !ask(each))).toEqual([]);
    expect(others.filter(ask)).toEqual([]);
    expect(isAllowed([], 'one.example', 443)).toBe(false);
  });

  it.each([
    ['https://a.example/x', 'write the host only: "a.example"'],
    ['a.example/x', 'it has a path'],
    ['10.0.0.1', 'it is an IP address'],
    ['[::1]:443', 'it is an IP address'],
    ['0x7f.1:80', 'it is an IP address'],
    ['*', 'a "*" may only stand for'],
    ['a.*.example', 'a "*" may only stand for'],
    ['*.*.example', 'a "*" may only stand for'],
    ['*.com', 'a whole top-level domain'],
    ['a.example:0', '"0" is no port'],
    ['a.example:65536', '"65536" is no port'],
    ['a.example:0443', '"0443" is no port'],
    ['a.example:https', 'it is an IP address'],
    ['', 'it is empty'],
    ['a b.example', 'white space'],
    ['a%2eexample', 'percent-encoded'],
  ])('with the entry %j is refused at start, with the key and the reason', (entry, reason) => {
    const said = problemsOf({ sandbox: { network: { allow: ['ok.example', entry] } } });
    expect(said).toContain(`sandbox.network.allow.1: ${JSON.stringify(entry)}: `);
    expect(said).toContain(reason);
  });
});

it.each([
  [{ sandbox: { network: 'ful' } }, 'sandbox.network: expected "none", "full" or {"allow"'],
  [{ sandbox: { network: { allow: ['a.example'], deny: [] } } }, 'Unrecognized key: "deny"'],
  [{ sandbox: { network: { allow: 'a.example' } } }, 'sandbox.network: allow: '],
  [{ sandbox: { privateAddresses: ['10/8'] } }, 'sandbox.privateAddresses.0: expected an IP address'],
  [
    { sandbox: { registryTokens: { T: ['http://a.example/'] } } },
    'sandbox.registryTokens.T.0: it must begin with https',
  ],
  [{ run: { setup: { command: 'x', network: { allow: ['*'] } } } }, 'run.setup.network.allow.0: "*": '],
  [
    { run: { setup: { command: 'x', registries: [{ url: 'https://u:p@a.example/', tokenEnv: 'T' }] } } },
    'run.setup.registries.0.url: it has a user or password in it',
  ],
  [
    { run: { setup: { command: 'x', registries: [{ url: 'https://a.example/', tokenEnv: 'npm_abc-123' }] } } },
    'run.setup.registries.0.tokenEnv: expected the name of a variable, not a token',
  ],
  [
    {
      run: {
        setup: { command: 'x', network: 'full', registries: [{ url: 'https://a.example/', tokenEnv: 'T' }] },
      },
    },
    'run.setup.registries: not together with network "full"',
  ],
])('%j is refused with the key and the reason', (value, said) => {
  expect(problemsOf(value)).toContain(said);
});

it('settings parse to themselves, so that a stored run reads them again', () => {
  const registries = [{ url: 'sparse+https://A.example/index', tokenEnv: 'T', kind: 'cargo' }];
  const given = { setup: { command: 'x', network: { allow: ['A.example'] }, registries } };
  const parsed = RunSettingsInput.parse(given);
  expect(parsed.setup?.registries?.[0]?.url).toBe('https://a.example/index/');
  expect(RunSettingsInput.parse(parsed)).toEqual(parsed);
  expect(NetworkSetting.parse(parsed.setup?.network)).toEqual({ allow: ['A.example'] });
});

it.each([
  ['https://a.example/api/npm/team/', 'npm'],
  ['https://a.example/', 'npm'],
  ['https://a.example/api/pypi/team/simple', 'pip'],
  ['https://a.example/simple/', 'pip'],
  ['https://a.example/api/cargo/index/', 'cargo'],
  ['https://a.example/go/', 'go'],
])('a registry at %s is taken for one of %s unless it says otherwise', (url, kind) => {
  expect(kindOf(Registry.parse({ url, tokenEnv: 'T' }))).toBe(kind);
  expect(kindOf(Registry.parse({ url, tokenEnv: 'T', kind: 'go' }))).toBe('go');
});

it("tokens are trusted to the URLs of the worker's own configuration", () => {
  const config = Config.parse({
    sandbox: { registryTokens: { A: ['https://a.example'] } },
    run: { setup: { command: 'x', registries: [{ url: 'https://b.example/npm', tokenEnv: 'A' }] } },
  });
  expect(trustedRegistries(config)).toEqual({ A: ['https://a.example/', 'https://b.example/npm/'] });
});
