/** What is checked before anything starts: the LLM endpoints, their keys and models. */
import { checkEndpoints } from './activities/llm/check.ts';
import { type Endpoint, resolveEndpoints } from './activities/llm/endpoints.ts';
import type { Log } from './activities/log.ts';
import type { Config } from './shared/config.ts';

/** Throws ModelUnusable, naming the variables, where no endpoint can be used. Takes at most 10 s. */
export async function checkModels(options: {
  config: Config;
  env: NodeJS.ProcessEnv;
  log: Log;
}): Promise<{ endpoints: Endpoint[]; warnings: string[] }> {
  const endpoints = resolveEndpoints({ env: options.env, configEndpoints: options.config.llm.endpoints });
  const { warnings } = await checkEndpoints(endpoints, { log: options.log });
  return { endpoints, warnings };
}
