/** Every word that the demo says. */
import { DEMO_PRICE } from './environment.ts';

export const demoText = {
  scripted: (example: string, url: string): string =>
    `The model of this demo is SCRIPTED: no LLM is called. A program on ${url} answers as one would, from examples/${example}. All else is real.`,
  price: `Cost is what its tokens would be at ${DEMO_PRICE.input} USD (input), ${DEMO_PRICE.cachedInput} (cached) and ${DEMO_PRICE.output} (output) per million.`,
  origin: (origin: string, fresh: boolean): string =>
    fresh
      ? `A bare repository with the starting files and SPEC.md: ${origin}`
      : `The repository of an earlier time: ${origin}`,
  command: (argv: readonly string[]): string => `$ agentswarm ${argv.join(' ')}`,
  steering: (argv: readonly string[]): string =>
    `A person (played by this demo) has a wish:\n$ agentswarm ${argv.map((word) => (/\s/.test(word) ? JSON.stringify(word) : word)).join(' ')}`,
  checking: (clone: string, check: string): string => `A fresh clone in ${clone}:\n$ ${check}`,
  checked: 'The fresh clone passes.',
  checkFailed: (code: number, output: string): string =>
    `${output}\nThe check of the fresh clone failed with exit code ${code}.`,
  runEnded: (code: number): string => `The run did not complete (exit code ${code}); see above.`,
  landed: (commits: readonly string[]): string =>
    `Landed on main, newest first:\n${commits.map((line) => `  ${line}`).join('\n')}`,
  requests: (count: number): string => `The scripted model answered ${count} requests.`,
  where: (dir: string, stateDir: string, npm: (options: string) => string): string =>
    [
      `Origin:  ${dir}/origin.git   (git -C ${dir}/origin.git log --stat main)`,
      `Web UI:  ${npm(`--dir ${dir} --look`)}`,
      `         (with a model of your own: agentswarm dev --state-dir ${stateDir})`,
      `Remove:  rm -rf ${dir}`,
    ].join('\n'),
  takeUp: (dir: string, npm: (options: string) => string): string =>
    `Nothing is lost. Take the run up again: ${npm(`--dir ${dir}`)}`,
  otherExample: (dir: string, was: string, asked: string): string =>
    `${dir} holds a demo of "${was}", not of "${asked}". Give another --dir, or --example ${was}.`,
  notEmpty: (dir: string): string => `${dir} is not empty and holds no demo. Give an empty or a new folder as --dir.`,
  lookWhere: '--look wants --dir, the folder of a demo.',
  whole: (option: string, text: string, least: number): string =>
    `--${option} is "${text}"; it must be a whole number of at least ${least}.`,
} as const;
