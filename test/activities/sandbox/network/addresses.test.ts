import { expect, it } from 'vitest';
import { createAddressRules } from '../../../../src/activities/sandbox/network/addresses.ts';

const eth0 = { netmask: '', mac: '', internal: false, cidr: null };
const interfaces = () => ({ eth0: [{ ...eth0, family: 'IPv4' as const, address: '198.41.0.4' }] });

it("the worker's own public address is refused, other public ones are not", () => {
  const rules = createAddressRules([], interfaces);
  expect(rules.refusal('198.41.0.4')).toBe("is the worker's own");
  for (const address of ['198.41.0.5', '8.8.8.8', '2606:4700::6810:84e5', '172.32.0.1', '100.128.0.1']) {
    expect([address, rules.refusal(address)]).toEqual([address, undefined]);
  }
  expect(createAddressRules(['198.41.0.4'], interfaces).refusal('198.41.0.4')).toBe(undefined);
});

it('a private range that is allowed opens that range only, in IPv6 too', () => {
  const rules = createAddressRules(['10.1.0.0/16', 'fd00:1::/32', '192.168.1.7'], interfaces);
  for (const address of ['10.1.2.3', 'fd00:1::9', '192.168.1.7']) expect(rules.refusal(address)).toBe(undefined);
  for (const address of ['10.2.0.1', 'fd00:2::9', '192.168.1.8', '127.0.0.1', 'not an address', '']) {
    expect([address, typeof rules.refusal(address)]).toEqual([address, 'string']);
  }
});
