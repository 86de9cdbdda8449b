/** What a sandbox may reach: settings, and the decision about one host and port. Pure. */
import { z } from 'zod';
import { normaliseHost } from '../base/host-names.ts';

/** One entry of an allowlist: a name, or all names below it, and the ports. */
export type AllowRule = { host: string; subdomains: boolean; ports: readonly number[] };

const DEFAULT_PORTS: readonly number[] = [443, 80];

/** `host`, `host:port`, `*.host` or `*.host:port`; without a port 443 and 80. Else what is wrong with it. */
export function parseAllowEntry(text: string): { ok: true; rule: AllowRule } | { ok: false; reason: string } {
  const refused = (reason: string) => ({ ok: false, reason }) as const;
  const scheme = /^[a-z][a-z0-9+.-]*:\/\/([^/]*)/i.exec(text);
  if (scheme !== null) return refused(`it is a URL; write the host only: "${scheme[1] ?? ''}"`);
  if (text.includes('/')) return refused('it has a path, but connections are allowed by host and port only');
  const subdomains = text.startsWith('*.');
  const [, name = '', portText] = /^(.*?)(?::(\d+))?$/s.exec(subdomains ? text.slice(2) : text) ?? [];
  if (name.includes('*')) return refused('a "*" may only stand for all names below one, as in "*.example.com"');
  const host = normaliseHost(name);
  if (!host.ok) return refused(host.reason);
  if (subdomains && !host.host.includes('.')) return refused(`"*.${host.host}" would be a whole top-level domain`);
  const port = portText === undefined ? undefined : parsePort(portText);
  if (portText !== undefined && port === undefined) return refused(`"${portText}" is no port (1 to 65535)`);
  return { ok: true, rule: { host: host.host, subdomains, ports: port === undefined ? DEFAULT_PORTS : [port] } };
}

/** A decimal without sign or leading zeros, 1 to 65535. */
export function parsePort(text: string): number | undefined {
  if (!/^[1-9]\d{0,4}$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65_535 ? port : undefined;
}

/** @param host in its normal form. */
export function isAllowed(rules: readonly AllowRule[], host: string, port: number): boolean {
  return rules.some(
    (rule) => rule.ports.includes(port) && (rule.subdomains ? host.endsWith(`.${rule.host}`) : host === rule.host),
  );
}

const AllowEntry = z.string().superRefine((text, context) => {
  const parsed = parseAllowEntry(text);
  if (!parsed.ok) context.addIssue({ code: 'custom', message: `${JSON.stringify(text)}: ${parsed.reason}` });
});

const Allowlist = z.strictObject({ allow: z.array(AllowEntry) });

/**
 * `none`: a network namespace of its own with nothing in it. `{allow}`: the same, and a proxy that connects to these
 * hosts only. `full`: the host's network, its loopback included; for `setup` every public address, by the same proxy.
 */
export const NetworkSetting = z.union([z.enum(['none', 'full']), Allowlist], {
  error: ({ input }) => {
    const forms = 'expected "none", "full" or {"allow": ["registry.example.com", "*.example.org:8443"]}';
    if (typeof input !== 'object' || input === null) return forms;
    const { error } = Allowlist.safeParse(input);
    return (error?.issues ?? []).map((issue) => [...issue.path, issue.message].join(': ')).join('; ') || forms;
  },
});
export type NetworkSetting = z.infer<typeof NetworkSetting>;

/** An address or a range of addresses, as in `10.0.0.0/8`. */
export const AddressRange = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], {
  error: 'expected an IP address or a range of them, as in "10.0.0.0/8"',
});

/** An https URL that prefixes are compared with: its path ends in a slash, it has no user info, query or fragment. */
export const RegistryUrl = z
  .string()
  .transform((text) => text.replace(/^sparse\+/, ''))
  .superRefine((text, context) => {
    const reason = URL.canParse(text) ? problemOf(new URL(text)) : 'it is not a URL';
    if (reason !== undefined) context.addIssue({ code: 'custom', message: reason });
  })
  .transform((text) => (URL.canParse(text) ? new URL(text).href.replace(/\/*$/, '/') : text));

function problemOf(url: URL): string | undefined {
  if (url.username !== '' || url.password !== '') return 'it has a user or password in it: name their variable instead';
  if (url.protocol !== 'https:') return 'it must begin with https:// as a token is sent there';
  // An empty one is in `href` only.
  if (/[?#]/.test(url.href)) return 'it has a query or fragment';
  return undefined;
}

const REGISTRY_KINDS = ['npm', 'pip', 'cargo', 'go'] as const;
type RegistryKind = (typeof REGISTRY_KINDS)[number];

/** A package registry that needs a token, which only the worker has. */
export const Registry = z.strictObject({
  url: RegistryUrl,
  /** Name of the worker's variable with the token, or `user:password`. */
  tokenEnv: z.string().regex(/^[A-Za-z_]\w*$/, 'expected the name of a variable, not a token'),
  /** Whose settings point to it. Default: guessed from the URL, see `kindOf`. */
  kind: z.enum(REGISTRY_KINDS).optional(),
  /** npm only: serves the packages of this scope. Default: all packages. */
  scope: z
    .string()
    .regex(/^@[a-z0-9~][\w.~-]*$/, 'expected an npm scope, as in "@acme"')
    .optional(),
});
export type Registry = z.infer<typeof Registry>;

/** Who may be given which token: what the worker's own configuration says, be it for all runs or as its `setup`. */
export function trustedRegistries(config: {
  sandbox: { registryTokens: Readonly<Record<string, readonly string[]>> };
  run: { setup?: { registries?: readonly Registry[] | undefined } | null | undefined };
}): Record<string, string[]> {
  const trusted: Record<string, string[]> = {};
  for (const [name, urls] of Object.entries(config.sandbox.registryTokens)) trusted[name] = [...urls];
  for (const { tokenEnv, url } of config.run.setup?.registries ?? []) {
    trusted[tokenEnv] = [...(trusted[tokenEnv] ?? []), url];
  }
  return trusted;
}

/** By the words that registries have in their paths: `/simple`, `pypi`, `/go`, `cargo`, `crates`; else npm. */
export function kindOf({ url, kind }: Registry): RegistryKind {
  if (kind !== undefined) return kind;
  const path = new URL(url).pathname.toLowerCase();
  if (/\/simple\/$|\/pypi\b|\/pip\b/.test(path)) return 'pip';
  if (/\/(?:cargo|crates)\b/.test(path)) return 'cargo';
  return /\/(?:go|goproxy|gomod)\//.test(path) ? 'go' : 'npm';
}
