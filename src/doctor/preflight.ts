/** What is checked before anything starts: isolation on this host; the LLM endpoints, their keys and models. */
import { checkEndpoints } from '../activities/llm/check.ts';
import { type Endpoint, resolveEndpoints } from '../activities/llm/endpoints.ts';
import type { Log } from '../activities/support/log.ts';
import { INSTALL_BUBBLEWRAP, probeIsolation } from '../activities/sandbox/local/isolation.ts';
import type { Config } from '../shared/config/worker-config.ts';
import { FailureType, terminal } from '../shared/base/failures.ts';

/**
 * Throws ModelUnusable, naming the variables, where a person must change something; that nobody can be reached now is
 * among the warnings. Takes at most 10 s.
 */
export async function checkModels(options: {
  config: Config;
  env: NodeJS.ProcessEnv;
  log: Log;
}): Promise<{ endpoints: Endpoint[]; unreachable: ReadonlySet<string>; warnings: string[] }> {
  const endpoints = resolveEndpoints({ env: options.env, configEndpoints: options.config.llm.endpoints });
  return { endpoints, ...(await checkEndpoints(endpoints, { log: options.log })) };
}

/** Throws SandboxUnavailable where agents cannot be isolated and the person has not said that they need not be. */
export async function checkIsolation(options: {
  config: Config;
  env: NodeJS.ProcessEnv;
}): Promise<{ warnings: string[] }> {
  const probe = await probeIsolation(options.env);
  if (probe.ok) return { warnings: [] };
  const missing = `Agents cannot be isolated here: ${probe.reason}.`;
  if (options.config.sandbox.unsafe) return { warnings: [`${missing} They run WITHOUT isolation (sandbox.unsafe).`] };
  throw terminal(FailureType.SandboxUnavailable, missing, INSTALL_BUBBLEWRAP);
}
