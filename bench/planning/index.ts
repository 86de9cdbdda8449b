/**
 * What a planner's model is sent in a run of many replans, as the requests at a real endpoint show it: how much of
 * each prompt is new, against sending all that is known each time.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { RunReport } from '../../src/shared/contracts/run.ts';
import { NOT_ISOLATED, startSwarm } from '../scale/swarm.ts';
import { type Call, recorded } from './prompts.ts';
import { planningScript, spec } from './script.ts';

const WORKERS = 8;
const EACH = 3;
/** As the scripted model counts. */
const CHARS_PER_TOKEN = 4;

export async function planning(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      replans: { type: 'string', default: '40' },
      chapters: { type: 'string', default: '40' },
      // The product's, and one for models of a smaller context, under which this run is compacted.
      'compact-tokens': { type: 'string', default: '150000,60000' },
    },
  });
  const [replans, chapters] = [Number(values.replans), Number(values.chapters)];
  for (const compactTokens of values['compact-tokens'].split(',').map(Number))
    await measure({ replans, chapters, compactTokens });
}

async function measure(load: { replans: number; chapters: number; compactTokens: number }): Promise<void> {
  const { replans, chapters, compactTokens } = load;
  const dir = mkdtempSync(join(tmpdir(), 'agentswarm-bench-'));
  const script = recorded(planningScript({ replans, first: WORKERS, each: EACH }));
  const files = new Map([
    ['SPEC.md', `# What is to be built\n\n${spec(chapters)}`],
    ['AGENTS.md', `# How to work here\n\n${spec(4)}`],
    ...Array.from({ length: 300 }, (_, i): [string, string] => [
      `src/part-${i % 20}/module-${i}.ts`,
      `${'export const line = "of code";\n'.repeat(40)}`,
    ]),
  ]);
  try {
    const swarm = await startSwarm({ dir, script, sandboxes: WORKERS, files });
    try {
      const settings = { maxWorkers: WORKERS, replanAfter: EACH, budget: {}, compactTokens };
      const input = { repo: swarm.origin, spec: 'SPEC.md', branch: 'bench', settings };
      const start = { workflowId: 'planning', taskQueue: 'agentswarm', args: [input] };
      const report = (await (await swarm.client.workflow.start('planner', start)).result()) as RunReport;
      console.log(`compacted at ${compactTokens.toLocaleString('en')} tokens:`);
      print(report, script.calls);
    } finally {
      await swarm.stop();
    }
  } finally {
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

function print(report: RunReport, calls: readonly Call[]): void {
  console.log(NOT_ISOLATED);
  const tokens = (chars: number): string => Math.round(chars / CHARS_PER_TOKEN).toLocaleString('en');
  const last = calls.at(-1);
  console.log(
    `${report.replans} replans, ${report.landed} of ${report.tasks.length} tasks landed, ${calls.length} calls of the planner's model; ` +
      `its first prompt ${tokens(calls[0]?.prompt ?? 0)} tokens, its last ${tokens(last?.prompt ?? 0)}`,
  );
  const counted = calls.filter(({ replan, anew }) => replan >= 2 && !anew);
  const rounds = [...new Set(counted.map(({ replan }) => replan))].map((replan) => {
    const own = counted.filter((call) => call.replan === replan);
    const sum = (of: (call: Call) => number) => own.reduce((all, call) => all + of(call), 0);
    return {
      replan,
      fresh: sum(({ prompt, shared }) => prompt - shared),
      prompt: sum(({ prompt }) => prompt),
      everything: sum(({ everything }) => everything),
    };
  });
  const part = (over: 'everything' | 'prompt', target: number): string => {
    const all = rounds.reduce((sum, round) => ({ fresh: sum.fresh + round.fresh, over: sum.over + round[over] }), {
      fresh: 0,
      over: 0,
    });
    const each = rounds.map((round) => round.fresh / round[over]).sort((a, b) => a - b);
    const percent = (value = 0): string => `${(100 * value).toFixed(1)} %`;
    const late = rounds.findLast((round) => round.fresh / round[over] > target);
    const when = late === undefined ? '' : `, above the target until replan ${late.replan}`;
    return (
      `${percent(all.fresh / all.over)} in all (target ≤ ${percent(target)}); of one replan ` +
      `${percent(each[Math.floor(each.length / 2)])} in the middle, ${percent(each.at(-1))} at most${when}`
    );
  };
  console.log(`new tokens ÷ sending everything, from the second replan on   ${part('everything', 0.15)}`);
  console.log(`new tokens ÷ the prompt (the rest is the shared prefix)      ${part('prompt', 0.1)}`);
  const anew = calls.filter((call) => call.anew);
  const sent = anew.map(({ prompt }) => tokens(prompt)).join(', ');
  console.log(
    `compactions                                                  ${anew.length}${sent === '' ? '' : `, which sent ${sent} tokens anew`}`,
  );
}
