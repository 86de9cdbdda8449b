import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isToolName, parseArguments, type ToolName, TOOLS } from '../../../src/shared/agent/tools.ts';

const name = fc.constantFrom(...(Object.keys(TOOLS) as ToolName[]));

test('arguments are what the schema has of them', () => {
  expect(parseArguments('ls', '')).toEqual({ ok: true, value: {} });
  expect(parseArguments('bash', '{"command":"ls","more":1}')).toEqual({ ok: true, value: { command: 'ls' } });
  expect(parseArguments('submit_handoff', '{"status":"complete","summary":"x"}')).toMatchObject({
    value: { concerns: [], suggestions: [] },
  });
});

test('whatever a model writes as arguments is parsed, or comes back to it as an error that names the tool', () => {
  const written = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc.constantFrom('{"command": "ls', '{"path":"a\\u0000b"}', '{"__proto__":{"command":"x"}}', '[[]]', 'NaN', '"{}"'),
    fc
      .record(
        { command: fc.anything(), path: fc.anything(), timeoutSeconds: fc.anything(), summary: fc.anything() },
        { requiredKeys: [] },
      )
      .map(
        (record) =>
          JSON.stringify(record, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)) ?? 'x',
      ),
  );
  const seen = new Set<boolean>();
  fc.assert(
    fc.property(name, written, (tool, text) => {
      const parsed = parseArguments(tool, text);
      seen.add(parsed.ok);
      if (parsed.ok) expect(TOOLS[tool].schema.safeParse(parsed.value).success).toBe(true);
      else expect(parsed.error).toMatch(new RegExp(`^The arguments of ${tool} .*Call it again\\.$`, 's'));
    }),
    { seed: 20_261_122, numRuns: 1_000 },
  );
  expect(seen.size).toBe(2);
});

test('names that objects have by themselves are no tools', () => {
  for (const odd of ['toString', '__proto__', 'constructor', '', 'Bash']) expect(isToolName(odd)).toBe(false);
});
