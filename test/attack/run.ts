/** Runs attacks one after the other: first the control, then the product. */
import { type Attack, CATEGORIES } from './attack.ts';
import type { Stage } from './stage.ts';

export type Outcome = {
  attack: Attack;
  /** `cannot`: it needs root, and this is not root. `failed`: it threw, with why. */
  control: 'won' | 'lost' | 'cannot' | 'failed';
  inside: 'won' | 'lost' | 'failed' | 'not tried';
  why?: string;
  tookMs: number;
};

export async function runAttack(stage: Stage, attack: Attack): Promise<Outcome> {
  const began = Date.now();
  const done = (outcome: Omit<Outcome, 'attack' | 'tookMs'>): Outcome => ({
    attack,
    ...outcome,
    tookMs: Date.now() - began,
  });
  const canShow = attack.root !== true || process.getuid?.() === 0;
  try {
    const control = canShow ? ((await attack.control(stage)) ? 'won' : 'lost') : 'cannot';
    stage.endVictims();
    try {
      return done({ control, inside: (await attack.inside(stage)) ? 'won' : 'lost' });
    } catch (error) {
      return done({ control, inside: 'failed', why: String(error) });
    }
  } catch (error) {
    return done({ control: 'failed', inside: 'not tried', why: String(error) });
  } finally {
    stage.endVictims();
  }
}

/** Every control that could be shown has won, and nothing has inside. */
export const holds = ({ control, inside }: Outcome): boolean =>
  (control === 'won' || control === 'cannot') && inside === 'lost';

/** Lines of a table in Markdown. */
export function table(outcomes: readonly Outcome[]): string[] {
  const row = (name: string, of: readonly Outcome[]): string => {
    const count = (test: (outcome: Outcome) => boolean): number => of.filter(test).length;
    return `| ${name} | ${of.length} | ${count(({ control }) => control === 'won')} | ${count(({ inside }) => inside === 'won')} |`;
  };
  return [
    '| category | attacks | succeed without | succeed inside |',
    '|---|---:|---:|---:|',
    ...CATEGORIES.flatMap((category) => {
      const of = outcomes.filter(({ attack }) => attack.category === category);
      return of.length === 0 ? [] : [row(category, of)];
    }),
    row('**all**', outcomes),
  ];
}
