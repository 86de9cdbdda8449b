/** What an attack is, and how most of them are written down. */
import type { ExecResult } from '../../src/activities/process/run-process.ts';
import type { Stage } from './stage.ts';

export const CATEGORIES = [
  'environment',
  'processes of the host',
  'files of the host',
  'links',
  'git configuration',
  'git hooks',
  'submodules and nested repositories',
  'URLs, refs and options',
  'bundles and packs',
  'processes, memory and time',
  'kept shells',
  'disk',
  'signals',
  'ptrace',
  'mounts and namespaces',
  'devices and kernel',
  'sockets',
  'DNS and names',
  'clock',
  'output',
  'file names',
] as const;

export type Attack = {
  /** Short, unique. */
  id: string;
  category: (typeof CATEGORIES)[number];
  /** What the attacker wants. */
  goal: string;
  /** The control needs the rights of root: without them it cannot be shown, and does not count. */
  root?: boolean;
  /** Resolves with whether it succeeds against an unprotected stand-in. */
  control(stage: Stage): Promise<boolean>;
  /** Resolves with whether it succeeds against the product. */
  inside(stage: Stage): Promise<boolean>;
};

/** How a script ran: what it said, and whether it left its mark on the host. */
export type Ran = { output: string; marked: boolean; result?: ExecResult };

/** Printed by a script that did what it wanted; `$W` keeps it out of messages that repeat the script. */
const WON = 'PWNED';
const PRELUDE = 'W=PW; W=${W}NED; ';

/** By default a script has won when it printed the canary or `$W`, or when its mark is on the host. */
export const won = (stage: Stage, { output, marked }: Ran): boolean =>
  marked || output.includes(stage.canary) || output.includes(WON);

type Script = string | ((stage: Stage, mark: string) => string | Promise<string>);

/**
 * A shell script as an agent's `bash` would get it: in the control by a shell of the worker's own user and
 * environment (`plain`), or by the product with `sandbox.unsafe`.
 */
export function script(
  category: Attack['category'],
  id: string,
  goal: string,
  text: Script,
  options: {
    root?: boolean;
    control?: 'plain' | 'unsafe';
    judge?: (stage: Stage, ran: Ran) => boolean;
    timeoutSeconds?: number;
  } = {},
): Attack {
  const { root, control = 'unsafe', judge = won, timeoutSeconds } = options;
  const attempt = async (stage: Stage, how: 'plain' | 'unsafe' | 'sandboxed') => {
    const mark = stage.mark(`${id}-${how}`);
    const body = typeof text === 'string' ? text : await text(stage, mark);
    const ran = await stage[how](`${PRELUDE}${body}`, timeoutSeconds);
    const verdict = judge(stage, { ...ran, marked: stage.isMarked(mark) });
    stage.unmark(mark);
    return verdict;
  };
  return {
    id,
    category,
    goal,
    ...(root === undefined ? {} : { root }),
    control: (stage) => attempt(stage, control),
    inside: (stage) => attempt(stage, 'sandboxed'),
  };
}

/** Python is what attackers find everywhere. `text` may use `libc`, `errno()` and `won()`. */
export const python = (text: string): string => `python3 - <<'PYTHON'
import ctypes, os, sys, socket, struct, time
libc = ctypes.CDLL(None, use_errno=True)
errno = ctypes.get_errno
def won(): print('PW' + 'NED')
try:
${text
  .trim()
  .split('\n')
  .map((line) => `    ${line}`)
  .join('\n')}
except Exception as error:
    print('no:', error)
PYTHON
`;
