import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadPrompts } from '../src/activities/prompts/prompts.ts';
import { ROLES } from '../src/shared/contracts/agent.ts';
import { Plan } from '../src/shared/contracts/plan.ts';
import { checkPlan } from '../src/shared/planner/plan-rules.ts';
import { isToolName, parseArguments, ROLE_TOOLS, TOOLS } from '../src/shared/agent/tools.ts';

const prompts = loadPrompts(join(import.meta.dirname, '..', 'prompts'));
const FIRST_LINES = {
  planner: '# Root planner',
  subplanner: '# Subplanner',
  worker: '# Worker',
  conflict: '# Conflict agent',
  reconciler: '# Reconciler',
} as const;

/** Fenced JSON with the name of the schema it is an example of: "json submit_plan". */
const examples = (text: string) =>
  [...text.matchAll(/^```json *(\S*)\n([\s\S]*?)^```/gm)].map(([, schema = '', json = '']) => ({ schema, json }));

/** Names in back-ticks that are those of tools. */
const toolsNamed = (text: string) =>
  [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/`([a-z_]+)`/g)]
    .map(([, name = '']) => name)
    .filter((name) => isToolName(name) || name.startsWith('submit_'));

for (const role of ROLES) {
  describe(`the prompt of the ${role}`, () => {
    const prompt = prompts[role];
    const { tools, closing } = ROLE_TOOLS[role];

    it('begins with the name of the role', () => {
      expect(prompt.split('\n')[0]).toBe(FIRST_LINES[role]);
    });

    it('has an example of the closing call that its schema takes whole', () => {
      const found = examples(prompt);
      expect(found.map(({ schema }) => schema)).toContain(closing);
      for (const { schema, json } of found) {
        if (!isToolName(schema)) throw new Error(`"${schema}" names no schema`);
        const parsed = parseArguments(schema, json);
        if (!parsed.ok) throw new Error(parsed.error);
        const known = Object.keys(TOOLS[schema].schema.shape);
        expect(known).toEqual(expect.arrayContaining(Object.keys(JSON.parse(json) as object)));
      }
    });

    it('names every tool that the role has, and none that it has not', () => {
      expect([...new Set(toolsNamed(prompt))].sort()).toEqual([...tools].sort());
    });

    it('says what is data', () => {
      expect(prompt).toMatch(/<data source="…">…<\/data>/);
    });
  });
}

it('the example of a plan keeps the rules of plans', () => {
  for (const { schema, json } of examples(prompts.planner)) {
    if (schema === 'submit_plan') expect(checkPlan(Plan.parse(JSON.parse(json)), []).errors).toEqual([]);
  }
});

it('an example that its schema does not take is found', () => {
  const [example] = examples('```json submit_plan\n{"tasks": [{"id": "A"}], "done": false}\n```\n');
  expect(example?.schema).toBe('submit_plan');
  expect(parseArguments('submit_plan', example?.json ?? '')).toMatchObject({ ok: false });
});

it('a missing prompt is named when the activities are made', () => {
  expect(() => loadPrompts('/nonexistent/prompts')).toThrow('/nonexistent/prompts/root-planner.md');
});

it.each([
  ['none', 'Sandboxes of workers have no network.'],
  ['full', 'Sandboxes of workers have the network of their host.'],
  [{ allow: ['registry.example.com', '*.example.org:8443'] }, '`registry.example.com`, `*.example.org:8443`'],
] as const)('every prompt says what network sandboxes have: %j', (network, said) => {
  const setting = typeof network === 'string' ? network : { allow: [...network.allow] };
  const texts = Object.values(loadPrompts(join(import.meta.dirname, '..', 'prompts'), setting));
  for (const text of texts) {
    expect(text).toContain(said);
    expect(text).not.toContain('{{');
    if (network !== 'none') expect(text).not.toMatch(/no network/i);
  }
});
