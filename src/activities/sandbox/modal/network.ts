/** Which network a sandbox on Modal is made with: settled then, and Modal's to keep. */
import { FailureType, terminal } from '../../../shared/base/failures.ts';
import { type NetworkSetting, parseAllowEntry } from '../../../shared/contracts/network.ts';

export type ModalNetwork = { blockNetwork: true } | { outboundDomainAllowlist: string[] } | Record<string, never>;

const TLS_PORT = 443;

/**
 * In the words of Modal's SDK. Modal lets TLS on port 443 through to the names on its list, and nothing else.
 * @param setting whose rules they are, for messages.
 * @throws SandboxUnavailable for an entry with another port.
 */
export function modalNetwork(network: NetworkSetting, setting: string): ModalNetwork {
  if (network === 'none') return { blockNetwork: true };
  if (network === 'full') return {};
  const names = network.allow.map((entry) => {
    const parsed = parseAllowEntry(entry);
    if (!parsed.ok || !parsed.rule.ports.includes(TLS_PORT)) {
      throw terminal(
        FailureType.SandboxUnavailable,
        `${setting}.allow has ${JSON.stringify(entry)}, but sandboxes on Modal reach names by TLS on port 443 only${parsed.ok ? '' : ` (${parsed.reason})`}.`,
        'Leave the port out, or set sandbox.provider to "local".',
      );
    }
    return `${parsed.rule.subdomains ? '*.' : ''}${parsed.rule.host}`;
  });
  // An empty list of Modal's might be read as none at all.
  return names.length === 0 ? { blockNetwork: true } : { outboundDomainAllowlist: [...new Set(names)] };
}

/** Whether a command that asks for one network has it in a sandbox that was made with another. */
export const hasNetwork = (made: NetworkSetting, asked: NetworkSetting): boolean =>
  asked === 'none' || JSON.stringify(asked) === JSON.stringify(made);
