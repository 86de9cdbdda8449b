/** How the work of a run is checked before it lands, from its settings. */
import type { GateTerms } from '../contracts/gate.ts';
import { MERGE_TEXT } from './text.ts';
import type { RunSettings, RunSettingsInput } from '../contracts/run-settings.ts';

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

/** What a run asks for, without a gate weaker than that of its repository: that is policy, which a run only tightens. */
export function keepGate(
  run: RunSettingsInput | undefined,
  repository: RunSettingsInput | undefined,
): { settings: RunSettingsInput | undefined; note?: string } {
  const gate = repository?.merge?.gate ?? 'none';
  if (run?.merge?.gate !== 'none' || gate === 'none') return { settings: run };
  return { settings: { ...run, merge: { ...run.merge, gate } }, note: MERGE_TEXT.gateKept(gate) };
}
