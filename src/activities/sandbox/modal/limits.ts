/** Which limits of ours a command on Modal met, as sentences for the agent. */
import type { SandboxLimits } from '../../../shared/config/worker-config.ts';
import { limitText, resourceLimitHit } from '../local/limits/text.ts';
import type { SandboxResult } from '../provider.ts';
import type { RunnerResult } from './runner.ts';

/** @param ownLimit the command was given no limit of output by its caller. */
export function withLimits(
  limits: SandboxLimits,
  { held, ...result }: RunnerResult,
  { ownLimit }: { ownLimit: boolean },
): SandboxResult {
  const met: string[] = [];
  if (ownLimit && result.reason === 'output-limit') met.push(limitText.output(limits));
  if (held !== undefined && held.mb > limits.diskMb) {
    met.push(held.stopped ? limitText.disk(limits, held.mb) : limitText.diskOver(limits, held.mb));
  }
  if (held !== undefined && held.files > limits.files) {
    met.push(held.stopped ? limitText.files(limits, held.files) : limitText.filesOver(limits, held.files));
  }
  // Modal keeps memory for the whole sandbox: what a process says of it is not ours to explain.
  const resource = met.length === 0 ? resourceLimitHit(limits, result, false) : undefined;
  if (resource !== undefined) met.push(resource);
  return met.length === 0 ? result : { ...result, limits: met };
}
