/** Which addresses a listed name may lead to: public ones, and what the worker's configuration names. */
import { BlockList, isIP, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';

export interface AddressRules {
  /** Why nothing may be connected to this address; undefined when it may. */
  refusal(address: string): string | undefined;
}

/** IANA's IPv4 special-purpose registry, multicast and reserved; and Azure's host, whose address looks public. */
const SPECIAL_IPV4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24'],
  ...['203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4', '168.63.129.16/32'],
];
/** Of IPv6 only this is public (IANA, global unicast), but for ranges with IPv4 addresses in them and for examples. */
const PUBLIC_IPV6 = ['2000::/3'];
const SPECIAL_IPV6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

/** @param privateAddresses addresses and ranges (CIDR) that are allowed though they are not public. */
export function createAddressRules(
  privateAddresses: readonly string[],
  interfaces: typeof networkInterfaces = networkInterfaces,
): AddressRules {
  const allowed = listOf(privateAddresses);
  const special = listOf([...SPECIAL_IPV4, ...SPECIAL_IPV6]);
  const globalIpv6 = listOf(PUBLIC_IPV6);
  return {
    refusal(address) {
      if (isIP(address) === 0) return 'is no IP address';
      if (has(allowed, address)) return undefined;
      if (has(special, address)) return 'is private or of special use';
      if (isIPv6(address) && !has(globalIpv6, address)) return 'is private or of special use';
      // The host may have a public address, behind which its own services trust it.
      const own = Object.values(interfaces()).some((each) => each?.some((at) => at.address === address));
      return own ? "is the worker's own" : undefined;
    },
  };
}

const familyOf = (address: string) => (isIPv6(address) ? 'ipv6' : 'ipv4');

/** A BlockList finds `::ffff:10.0.0.1` in an IPv4 range too, in both directions. */
const has = (list: BlockList, address: string): boolean => list.check(address, familyOf(address));

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits] = range.split('/');
    if (bits === undefined) list.addAddress(address, familyOf(address));
    else list.addSubnet(address, Number(bits), familyOf(address));
  }
  return list;
}
