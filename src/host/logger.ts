/** NDJSON logs by pino. Secrets inside messages are rewritten too: `redact` covers named paths only. */
import { pino, type Logger } from 'pino';

/** Variables whose values must never be read in a log. */
const SECRET_NAME = /(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS?)$/i;
const MIN_SECRET_CHARS = 8;

/** Writes to standard output. Level: AGENTSWARM_LOG_LEVEL, default info. */
export function createLogger(env: NodeJS.ProcessEnv): Logger {
  const secrets = secretValues(env);
  return pino({
    level: env.AGENTSWARM_LOG_LEVEL ?? 'info',
    base: { pid: process.pid },
    hooks: { streamWrite: (line) => hide(line, secrets) },
  });
}

/** The values of variables that hold keys and tokens, also those inside LLM_ENDPOINTS, as they may be written. */
export function secretValues(env: NodeJS.ProcessEnv): string[] {
  const values = Object.entries(env).flatMap(([name, value]) => (SECRET_NAME.test(name) && value ? [value] : []));
  for (const [, key] of (env.LLM_ENDPOINTS ?? '').matchAll(/"apiKey"\s*:\s*"((?:[^"\\]|\\.)*)"/g)) {
    if (key !== undefined) values.push(key);
  }
  return values
    .filter((value) => value.length >= MIN_SECRET_CHARS)
    .flatMap((value) => [value, encodeURIComponent(value), Buffer.from(value).toString('base64').replace(/=+$/, '')]);
}

function hide(line: string, secrets: readonly string[]): string {
  let hidden = line;
  for (const secret of secrets) if (hidden.includes(secret)) hidden = hidden.replaceAll(secret, '[secret]');
  return hidden;
}
