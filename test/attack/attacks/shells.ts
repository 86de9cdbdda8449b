/**
 * Attacks on a shell that runs one command after the other: a first command leaves something, and a second shows
 * whether it is there. The stand-in is a shell that runs both itself.
 */
import { type Attack, python } from '../attack.ts';
import type { Stage } from '../stage.ts';

const CATEGORY = 'kept shells';
const SECOND = '----second----';
const WON = 'PWNED';
/** Says the word without having it in its own text. */
const SAY = "printf '%s%s\\n' PW NED";

function pair(
  id: string,
  goal: string,
  [first, second]: readonly [string, string],
  options: {
    /** What the stand-in is told first, where that is another. */
    naive?: string;
    /** Given what the second command said. */
    judge?: (said: string) => boolean;
    timeoutSeconds?: number;
  } = {},
): Attack {
  const { naive = first, judge = (said) => said.includes(WON), timeoutSeconds } = options;
  return {
    id,
    category: CATEGORY,
    goal,
    async control(stage) {
      const { output } = await stage.plain(`${naive}\nunset -f command; command echo ${SECOND}\n${second}`);
      return judge(output.split(SECOND)[1] ?? '');
    },
    async inside(stage) {
      await stage.sandboxed(first, timeoutSeconds);
      return judge((await stage.sandboxed(second)).output);
    },
  };
}

/** Reads where the process begins, and waits there for what is told to it. */
const look = python(`
pid = int(os.environ['TARGET'])
start = int(open('/proc/%d/maps' % pid).readline().split('-')[0], 16)
with open('/proc/%d/mem' % pid, 'rb') as memory:
    memory.seek(start)
    if len(memory.read(64)) == 64: won()
`);

const KEPT = 'TARGET=$(grep -lx sh /proc/[0-9]*/comm | head -1 | tr -dc 0-9)';

/** Something done to the process of the shell itself. */
function onShell(id: string, goal: string, text: string): Attack {
  const attempt = async (run: Stage['plain'], target: string) =>
    (await run(`${target}; export TARGET; ${text}`)).output.includes(WON);
  return {
    id,
    category: CATEGORY,
    goal,
    control: (stage) => attempt(stage.plain, 'exec 5> >(exec sh -s); TARGET=$!; sleep 0.2'),
    inside: (stage) => attempt((command) => stage.sandboxed(command), KEPT),
  };
}

const dead = (said: string): boolean => !said.includes('alive');

export const SHELLS: readonly Attack[] = [
  pair('preload', 'a library in whatever the next command starts', [
    'export LD_PRELOAD=/tmp/evil.so',
    `[ -z "$LD_PRELOAD" ] || ${SAY}`,
  ]),
  pair('function', 'to be what the next command takes for a builtin', [
    `echo() { ${SAY}; }; export -f echo`,
    'echo hello',
  ]),
  pair('enable', 'to be found instead of a builtin', [
    `mkdir -p /tmp/evil-path; printf '#!/bin/sh\\n${SAY.replaceAll('%', '%%').replaceAll("'", `'\\''`).replaceAll('\\n', '\\\\n')}\\n' > /tmp/evil-path/test; chmod +x /tmp/evil-path/test; enable -n test; PATH=/tmp/evil-path:$PATH`,
    'test 1',
  ]),
  pair('readonly', 'a variable that the next command cannot set', [
    'readonly EDITOR=evil',
    `readonly -p | grep -q EDITOR && ${SAY}`,
  ]),
  pair('trap', 'to run when the next command ends', [`trap "${SAY}" EXIT DEBUG`, 'true']),
  pair('alias', 'another meaning of a word', [`shopt -s expand_aliases; alias true="${SAY}"`, 'true']),
  pair('folder', 'the next command elsewhere', ['cd /tmp', `[ "$PWD" != /tmp ] || ${SAY}`]),
  pair('umask', 'files of the next command for all', ['umask 000', `[ "$(umask)" != 0000 ] || ${SAY}`]),
  pair('ulimit', 'less for the next command', ['ulimit -n 77', `[ "$(ulimit -n)" != 77 ] || ${SAY}`]),
  pair('options', 'the next command to go on blindly', ['set -f -o noclobber', `[[ $- != *f* ]] || ${SAY}`]),
  pair('status', 'to tell a status of its own', ['exec 4> /tmp/evil-status', `{ echo 0 >&4; } 2>/dev/null && ${SAY}`]),
  pair('memory-file', 'memory that outlives its command', [
    'head -c 5000000 /dev/zero > /dev/shm/agentswarm-attack',
    `[ ! -e /dev/shm/agentswarm-attack ] || ${SAY}; rm -f /dev/shm/agentswarm-attack`,
  ]),
  pair('kill', 'no next command', [`${KEPT}; kill -9 $TARGET; kill -9 -1`, 'echo alive'], {
    naive: 'kill -9 $$',
    judge: dead,
  }),
  pair('stop', 'the next command to wait for ever', [`${KEPT}; kill -STOP $TARGET; sleep 0.1`, 'echo alive'], {
    naive: '(sleep 1; kill -9 $$; kill -CONT $$) & kill -STOP $$',
    judge: dead,
    timeoutSeconds: 2,
  }),
  onShell('read', 'the mark, by which a command could end its own output', look),
  onShell(
    'descriptors',
    'its pipes, to say what it says',
    `ls -l /proc/$TARGET/fd 2>/dev/null | grep -q -e '->' && ${SAY}`,
  ),
  onShell(
    'trace',
    'to be told what it is told',
    python(`
if libc.ptrace(16, int(os.environ['TARGET']), 0, 0) == 0:
    won()
    os.waitpid(int(os.environ['TARGET']), 0x40000000)
`),
  ),
];
