/**
 * `npm run attack [-- <id or category>…]`: every attack first against an unprotected stand-in, then against the
 * product. Exits with 1 unless each control succeeded and nothing succeeded inside.
 */
import { arch } from 'node:os';
import { ATTACKS } from './attacks/index.ts';
import { holds, type Outcome, runAttack, table } from './run.ts';
import { Stage } from './stage.ts';

const wanted = process.argv.slice(2);
const chosen = ATTACKS.filter(
  ({ id, category }) => wanted.length === 0 || wanted.some((each) => each === id || each === category),
);
if (chosen.length === 0 || arch() !== 'x64') {
  const why =
    arch() === 'x64'
      ? `No attack or category is called ${wanted.join(', ')}.`
      : `The attacks are written for x64; this is ${arch()}.`;
  process.stderr.write(`${why}\n`);
  process.exit(2);
}

const began = Date.now();
const outcomes: Outcome[] = [];
const stage = await Stage.open();
let interrupted = false;
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => (interrupted = true));
try {
  for (const attack of chosen) {
    if (interrupted) break;
    const outcome = await runAttack(stage, attack);
    outcomes.push(outcome);
    const { control, inside, why, tookMs } = outcome;
    const said = holds(outcome) ? 'held' : 'NOT HELD';
    process.stderr.write(
      `${said.padEnd(9)} ${attack.id.padEnd(28)} without: ${control.padEnd(7)} inside: ${inside.padEnd(9)} ${tookMs} ms${why === undefined ? '' : `  ${why.slice(0, 300)}`}\n`,
    );
  }
} finally {
  await stage.close();
}
const broken = outcomes.filter((outcome) => !holds(outcome));
process.stdout.write(`${table(outcomes).join('\n')}\n\n`);
process.stdout.write(
  `${outcomes.length} attacks in ${Math.round((Date.now() - began) / 1_000)} s as ${process.getuid?.() === 0 ? 'root' : 'an ordinary user'}, ${broken.length} not held\n`,
);
process.exit(broken.length === 0 && !interrupted ? 0 : 1);
