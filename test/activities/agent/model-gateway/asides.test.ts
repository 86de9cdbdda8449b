import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Asides } from '../../../../src/activities/agent/model-gateway/asides.ts';

type Given = { role: string; content: string; tool_calls?: { id: string }[]; tool_call_id?: string };
const user = (content: string): Given => ({ role: 'user', content });
const calls = (id: string): Given => ({ role: 'assistant', content: '', tool_calls: [{ id }] });
const result = (id: string): Given => ({ role: 'tool', content: '', tool_call_id: id });
const weave = (asides: Asides, messages: readonly Given[]): Given[] =>
  asides.weave(messages, (message) => (message as Given).role !== 'tool') as Given[];

test('what is told stands at the end first, and at the same place ever after', () => {
  const asides = new Asides();
  const begun = [user('go'), calls('1'), result('1')];
  asides.add('use tabs');
  expect(weave(asides, begun)).toEqual([...begun, user('use tabs')]);
  const further = [...begun, calls('2'), result('2')];
  expect(weave(asides, further)).toEqual([...begun, user('use tabs'), calls('2'), result('2')]);
  asides.add('stop');
  expect(weave(asides, further)).toEqual([...begun, user('use tabs'), calls('2'), result('2'), user('stop')]);
});

test('another conversation of the same agent is told too, however short', () => {
  const asides = new Asides();
  asides.add('use tabs');
  weave(asides, [user('go'), calls('1'), result('1')]);
  expect(weave(asides, [user('a title, please')])).toEqual([user('a title, please'), user('use tabs')]);
});

test('it never comes between calls and their results, keeps the order, and changes nothing else', () => {
  const round = fc.constantFrom<Given[][]>(
    [user('x')],
    [calls('a'), result('a')],
    [{ role: 'assistant', content: 'hm' }],
  );
  fc.assert(
    fc.property(
      fc.array(round, { maxLength: 8 }),
      fc.array(round, { maxLength: 8 }),
      fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 3 }),
      (first, other, adds) => {
        const asides = new Asides();
        const told: string[] = [];
        for (const conversation of [first.flat(), other.flat(), [...first.flat(), ...other.flat()]]) {
          for (let i = 0; i < (adds[0] ?? 1); i++) {
            told.push(`aside ${told.length}`);
            asides.add(told.at(-1) ?? '');
          }
          const woven = weave(asides, conversation);
          woven.forEach((message, i) => {
            if (message.role !== 'tool') return;
            expect(woven[i - 1]?.role).toBe('assistant');
          });
          const isAside = ({ role, content }: Given): boolean => role === 'user' && content.startsWith('aside');
          expect(woven.filter((message) => !isAside(message))).toEqual(conversation);
          const texts = woven.filter(isAside).map(({ content }) => content);
          expect(texts.toSorted()).toEqual(told.toSorted());
        }
      },
    ),
    { seed: 20_261_122 },
  );
});
