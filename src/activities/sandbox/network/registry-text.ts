/** What a registry's answer says to the sandbox: local URLs in place of its own, and no token. */
import { kindOf } from '../../../shared/contracts/network.ts';
import type { LocalRegistry } from './client-settings.ts';

export type Rewrite = {
  /** Without the token, in any form in which it may have been repeated. */
  redact(text: string): string;
  /** Redacted, and the registry's URL replaced by the local one. */
  text(text: string): string;
  /** As `text`, for a body of metadata that was asked for at `path`. */
  body(text: string, path: string): string;
};

export function registryText(registry: LocalRegistry & { secret: string }): Rewrite {
  const { secret, url, localUrl } = registry;
  // The password of `user:password`, and a token without the word before it.
  const parts = [secret, secret.slice(secret.indexOf(':') + 1), secret.slice(secret.lastIndexOf(' ') + 1)];
  const base64 = (text: string) => Buffer.from(text).toString('base64').replace(/=+$/, '');
  const secrets = new Set(
    parts.filter((part) => part.length >= 6).flatMap((part) => [part, encodeURIComponent(part), base64(part)]),
  );
  const redact = (text: string): string => {
    let clean = text;
    for (const each of secrets) clean = clean.replaceAll(each, '[redacted]');
    return clean;
  };
  const escaped = (text: string) => text.replaceAll('/', '\\/');
  const text = (from: string): string =>
    redact(from).replaceAll(url, localUrl).replaceAll(escaped(url), escaped(localUrl));
  return {
    redact,
    text,
    body: (from, path) =>
      kindOf(registry) === 'cargo' && path.endsWith('/config.json') ? open(text(from)) : text(from),
  };
}

/** Cargo asks for a token of its own when the index says that one is needed. */
function open(config: string): string {
  try {
    return JSON.stringify({ ...(JSON.parse(config) as object), 'auth-required': false });
  } catch {
    // Not ours to judge: cargo says what is wrong with it.
    return config;
  }
}
