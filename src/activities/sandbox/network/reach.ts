/** What one command may reach through the proxy: hosts on a list, or every name that leads to a public address. */
import { type AllowRule, isAllowed, type NetworkSetting, parseAllowEntry } from '../../../shared/contracts/network.ts';
import { FailureType, terminal } from '../../../shared/base/failures.ts';

export type Reach = readonly AllowRule[] | 'public';

/** @throws BadInput for an entry that is none. */
export function reachOf(network: NetworkSetting): Reach {
  if (network === 'none') return [];
  if (network === 'full') return 'public';
  return network.allow.map((entry) => {
    const parsed = parseAllowEntry(entry);
    if (parsed.ok) return parsed.rule;
    throw terminal(FailureType.BadInput, `${JSON.stringify(entry)} is no entry of an allowlist: ${parsed.reason}.`);
  });
}

/** @param host in its normal form. Where its name leads is checked when it is dialled. */
export const reaches = (reach: Reach, host: string, port: number): boolean =>
  reach === 'public' || isAllowed(reach, host, port);
