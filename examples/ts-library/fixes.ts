/** What the reconciler of this example makes of the errors that landings leave: docs and version pass each alone. */
import type { PlannedTask } from '../scripted-model/planning.ts';

export const fixes = (errors: string): PlannedTask[] =>
  errors.includes('VERSION')
    ? [
        {
          id: 'fix-readme',
          description:
            'The README names VERSION too\n\nsrc/index.ts exports VERSION since the task version has landed, and README.md, which landed beside it, does not name it. Add it to the table.',
          scope: ['README.md'],
          acceptance: [{ text: 'The README names every export.', command: 'node --test test/readme.test.ts' }],
          priority: 1,
        },
      ]
    : [];
