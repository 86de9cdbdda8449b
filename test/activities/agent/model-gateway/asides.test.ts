import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Asides } from '../../../../src/activities/agent/model-gateway/asides.ts';
import type { Message } from '../../../../src/shared/contracts/agent.ts';

const user = (text: string): Message => ({ role: 'user', text });
const calls = (id: string): Message => ({
  role: 'assistant',
  text: '',
  toolCalls: [{ id, name: 'bash', arguments: '{}' }],
});
const result = (id: string): Message => ({
  role: 'tool',
  results: [{ callId: id, name: 'bash', status: 'ok', output: '' }],
});

test('what is told stands at the end first, and at the same place ever after', () => {
  const asides = new Asides();
  const begun = [user('go'), calls('1'), result('1')];
  asides.add('use tabs');
  expect(asides.weave(begun)).toEqual([...begun, user('use tabs')]);
  const further = [...begun, calls('2'), result('2')];
  expect(asides.weave(further)).toEqual([...begun, user('use tabs'), calls('2'), result('2')]);
  asides.add('stop');
  expect(asides.weave(further)).toEqual([...begun, user('use tabs'), calls('2'), result('2'), user('stop')]);
});

test('another conversation of the same agent is told too, however short', () => {
  const asides = new Asides();
  asides.add('use tabs');
  asides.weave([user('go'), calls('1'), result('1')]);
  expect(asides.weave([user('a title, please')])).toEqual([user('a title, please'), user('use tabs')]);
});

test('it never comes between calls and their results, keeps the order, and changes nothing else', () => {
  const round = fc.constantFrom<Message[][]>(
    [user('x')],
    [calls('a'), result('a')],
    [{ role: 'assistant', text: 'hm', toolCalls: [] }],
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
          const woven = asides.weave(conversation);
          woven.forEach((message, i) => {
            if (message.role !== 'tool') return;
            expect(woven[i - 1]?.role).toBe('assistant');
          });
          const isAside = (message: Message): boolean => message.role === 'user' && message.text.startsWith('aside');
          expect(woven.filter((message) => !isAside(message))).toEqual(conversation);
          const texts = woven.filter(isAside).map((message) => (message.role === 'user' ? message.text : ''));
          expect(texts.toSorted()).toEqual(told.toSorted());
        }
      },
    ),
    { seed: 20_261_122 },
  );
});
