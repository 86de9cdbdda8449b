import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normaliseHost } from '../../../src/shared/base/host-names.ts';

const ADDRESS = 'it is an IP address, not a name';

describe('a host name', () => {
  it.each([
    ['Example.COM', 'example.com'],
    ['example.com.', 'example.com'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['BÜCHER.example', 'xn--bcher-kva.example'],
    ['bu\u0308cher.example', 'xn--bcher-kva.example'],
    ['XN--BCHER-KVA.example', 'xn--bcher-kva.example'],
    ['example。com', 'example.com'],
    ['ｅｘａｍｐｌｅ.com', 'example.com'],
    ['exa\u00admple.com', 'example.com'],
    ['my_host.example', 'my_host.example'],
    ['1e3', '1e3'],
  ])('%j has the normal form %j', (text, host) => {
    expect(normaliseHost(text)).toEqual({ ok: true, host });
  });

  it.each([
    ...['127.0.0.1', '127.0.0.1.', '127.1', '0177.0.0.1', '0x7f.0.0.1', '0x7f000001', '2130706433', '017700000001'],
    ...['0', '１２７.０.０.１', '127。0。0。1', '0X7F.1', '999', '[::1]', '::1', '[::ffff:127.0.0.1]', 'fe80::1'],
  ])('%j is refused as an address', (text) => {
    expect(normaliseHost(text)).toEqual({ ok: false, reason: ADDRESS });
  });

  it.each([
    ...['', '.', '..', 'a..b', '.a', 'a..', 'a b', 'a\tb', 'a\nb', 'a\0b', '\0', 'a\u007fb', 'a\u2028b', 'a\u00a0b'],
    ...['%61.example', 'a%00.example', 'u@a.example', 'a/b', 'a\\b', 'a?b', 'a#b', 'a*b', '*', 'a<b', '\ud800.example'],
    ...[
      '-a.example',
      'a-.example',
      'xn--.example',
      '1.2.3.4.5',
      '256.256.256.256',
      'a.0x1',
      `${'a'.repeat(64)}.example`,
    ],
    ...[`${'a.'.repeat(127)}example`, 'x'.repeat(2_000)],
  ])('%j is refused', (text) => {
    expect(normaliseHost(text)).toMatchObject({ ok: false });
  });

  it('in its normal form is what a URL parser makes of it, and stays as it is', () => {
    const piece = fc.oneof(fc.domain(), fc.string({ unit: 'binary', maxLength: 12 }), fc.ipV4Extended(), fc.ipV6());
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 3 }), fc.constantFrom('', '.', '。'), (parts, dot) => {
        const text = parts.join(dot);
        const checked = normaliseHost(text);
        if (!checked.ok) return;
        expect(checked.host).toMatch(/^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/);
        expect(new URL(`http://${text}/`).hostname.replace(/\.$/, '')).toBe(checked.host);
        expect(normaliseHost(checked.host)).toEqual(checked);
      }),
      { numRuns: 3_000, seed: 4 },
    );
  });
});
