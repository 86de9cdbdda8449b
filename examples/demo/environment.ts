/** What the command is told by its environment: the scripted model, and nothing that leads elsewhere. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DEFAULT_MODEL } from '../scripted-model/server.ts';

/** USD per million tokens, as of a middling model: the report's cost shall not be zero. */
export const DEMO_PRICE = { input: 3, cachedInput: 0.3, output: 15 } as const;

const KEY_VARIABLE = 'SCRIPTED_MODEL_KEY';

/** Other models, servers and state of the person must not be touched by a demo. */
const ELSEWHERE = /^(?:OPENAI_|ANTHROPIC_|TEMPORAL_|LLM_ENDPOINTS$|AGENTSWARM_)/;

/** Variables for the command: both protocols of the model at `url`, whose key is `apiKey`. Writes a file into `dir`. */
export function demoEnvironment(
  env: NodeJS.ProcessEnv,
  { dir, url, apiKey }: { dir: string; url: string; apiKey: string },
): NodeJS.ProcessEnv {
  // A profile in the person's own temporal.toml would name another server.
  const profile = join(dir, 'temporal.toml');
  writeFileSync(profile, '[profile.default]\n');
  const endpoint = (provider: 'openai' | 'anthropic', baseUrl: string): object => ({
    name: `scripted-${provider}`,
    provider,
    baseUrl,
    apiKeyEnv: KEY_VARIABLE,
    models: { default: DEFAULT_MODEL },
    price: DEMO_PRICE,
  });
  return {
    ...Object.fromEntries(Object.entries(env).filter(([name]) => !ELSEWHERE.test(name))),
    [KEY_VARIABLE]: apiKey,
    LLM_ENDPOINTS: JSON.stringify([endpoint('openai', `${url}/v1`), endpoint('anthropic', url)]),
    TEMPORAL_CONFIG_FILE: profile,
  };
}
