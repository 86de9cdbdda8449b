/** How the work of a run is checked before it lands, from its settings. */
import type { GateTerms } from '../../contracts/gate.ts';
import type { RunSettings } from '../../settings.ts';

const DEFAULT_SLOTS = 4;

/** @returns undefined where nothing is checked: the gate is `none`, or none is named and there are no checks. */
export function gateTerms({
  merge,
  checks,
  setup,
}: Pick<RunSettings, 'merge' | 'checks' | 'setup'>): GateTerms | undefined {
  const mode = merge.gate ?? (checks.length > 0 ? 'batch' : 'none');
  if (mode === 'none') return undefined;
  return { mode, slots: merge.slots ?? DEFAULT_SLOTS, checks: checks.length > 0 ? checks : 'detect', setup };
}
