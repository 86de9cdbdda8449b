/**
 * Attacks by taking too much. Bounded: each stops by itself where nothing else stops it, far from what would harm
 * a machine, and has won when it got further than the stage's limits allow.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type Attack, python, script } from '../attack.ts';
import type { Stage } from '../stage.ts';
import type { TestHost } from '../../activities/sandbox/support.ts';

const CATEGORY = 'processes, memory and time';

/** At most 255 processes, of 80. */
const BOMB = 'bomb() { [ $1 -gt 7 ] && sleep 1.5 || { bomb $(($1 + 1)) & bomb $(($1 + 1)) & wait; }; }';

/** Whether anything with this mark on its command line still runs a moment later. */
function survivor(id: string, goal: string, text: (mark: string) => string): Attack {
  const attempt = async (stage: Stage, how: 'naive' | 'sandboxed') => {
    const mark = `9${stage.nextTurn()}.${process.pid}`;
    if (how === 'sandboxed') await stage.sandboxed(text(mark), 2);
    else spawnSync('/bin/bash', ['-c', text(mark)], { timeout: 2_000, stdio: 'ignore' });
    await new Promise((resolve) => setTimeout(resolve, 100));
    const found = spawnSync('pgrep', ['-f', `sleep ${mark.replace('.', '\\.')}`])
      .stdout.toString()
      .trim();
    for (const pid of found.split('\n').filter((each) => each !== '')) process.kill(Number(pid), 'SIGKILL');
    return found !== '';
  };
  return {
    id,
    category: CATEGORY,
    goal,
    control: (stage) => attempt(stage, 'naive'),
    inside: (stage) => attempt(stage, 'sandboxed'),
  };
}

const numbers =
  (least: number) =>
  (_: Stage, { output }: { output: string }): boolean =>
    Math.max(0, ...[...output.matchAll(/^got (\d+)$/gm)].map(([, n]) => Number(n))) >= least;

const processes: Attack[] = [
  script(
    CATEGORY,
    'fork-bomb',
    'more processes than allowed, by doubling',
    `${BOMB}; bomb 1 & sleep 1; echo "got $(ls -d /proc/[0-9]* | wc -l)"`,
    { control: 'plain', judge: numbers(150), timeoutSeconds: 6 },
  ),
  script(
    CATEGORY,
    'many-processes',
    'more processes than allowed, one by one',
    'n=0; for i in $(seq 200); do sleep 2 & done 2>/dev/null; for p in $(jobs -p); do kill -0 $p 2>/dev/null && n=$((n+1)); done; echo got $n',
    { control: 'plain', judge: numbers(120), timeoutSeconds: 6 },
  ),
  script(
    CATEGORY,
    'many-threads',
    'more threads than allowed',
    python(`
import threading
count = 0
try:
    for _ in range(200): threading.Thread(target=time.sleep, args=(1,), daemon=True).start(); count += 1
except RuntimeError: pass
print('got', count, flush=True); os._exit(0)
`),
    { control: 'plain', judge: numbers(120) },
  ),
  script(
    CATEGORY,
    'memory',
    'more memory than allowed, in one process',
    python(`kept = bytearray(400 << 20); print('got', len(kept) >> 20)`),
    { control: 'plain', judge: numbers(400) },
  ),
  script(
    CATEGORY,
    'memory-together',
    'the same, in many processes',
    `for i in 1 2 3 4 5; do python3 -c "import time; kept = bytearray(90 << 20); time.sleep(1); print('kept', len(kept))" & done; wait; echo`,
    { control: 'plain', judge: (_, { output }) => (output.match(/^kept \d/gm) ?? []).length >= 5 },
  ),
  script(
    CATEGORY,
    'memory-shm',
    'the same, as files in /dev/shm',
    `for i in $(seq 12); do head -c 39000000 /dev/zero > /dev/shm/agentswarm-attack-$i; done; echo got $(du -sm /dev/shm/agentswarm-attack-* -c | tail -1 | cut -f1); rm -f /dev/shm/agentswarm-attack-*`,
    { control: 'plain', judge: numbers(400) },
  ),
  script(
    CATEGORY,
    'memory-memfd',
    'the same, in files without a name',
    python(`
total = 0
for _ in range(12):
    fd = os.memfd_create('x')
    for _ in range(39): total += os.write(fd, bytes(1 << 20)) >> 20
    time.sleep(0.1)
print('got', total)
`),
    { control: 'plain', judge: numbers(400) },
  ),
  script(
    CATEGORY,
    'open-files',
    'more open files than allowed',
    python(`
files = []
try:
    for _ in range(1000): files.append(open('/dev/null'))
except OSError: pass
print('got', len(files))
`),
    { control: 'plain', judge: numbers(900) },
  ),
  script(
    CATEGORY,
    'open-files-raise',
    'to raise that limit',
    python(`
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000)); print('got', resource.getrlimit(resource.RLIMIT_NOFILE)[0])
`),
    { control: 'plain', judge: numbers(1000) },
  ),
  script(
    CATEGORY,
    'cpu',
    'more CPU time than allowed',
    python(`
while time.process_time() < 3: pass
print('got', int(time.process_time()))
`),
    { control: 'plain', judge: numbers(3), timeoutSeconds: 60 },
  ),
  script(
    CATEGORY,
    'cpu-catch',
    'the same, deaf to the signal',
    python(`
import signal
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
while time.process_time() < 7.5: pass
print('got', int(time.process_time()))
`),
    { control: 'plain', judge: numbers(7), timeoutSeconds: 90 },
  ),
  survivor('outlive-background', 'to go on in the background', (mark) => `sleep ${mark} > /dev/null 2>&1 & disown`),
  survivor(
    'outlive-daemon',
    'to go on as a daemon',
    (mark) => `setsid setsid sleep ${mark} > /dev/null 2>&1 < /dev/null & sleep 0.1`,
  ),
  survivor('outlive-timeout', 'to go on after the time is over', (mark) => `setsid sleep ${mark} & sleep 30`),
  survivor(
    'outlive-deaf',
    'to go on though asked to end',
    (mark) => `trap '' TERM INT HUP; setsid nohup sleep ${mark} > /dev/null 2>&1 & sleep 30`,
  ),
  script(CATEGORY, 'wait-for-ever', 'a command that never ends', 'read -r line < <(sleep 5; echo 5); echo got $line', {
    control: 'plain',
    judge: numbers(5),
    timeoutSeconds: 1.5,
  }),
];
// The controls of a time limit have none.
const waiting = processes.find(({ id }) => id === 'wait-for-ever');
if (waiting !== undefined)
  waiting.control = async (stage) =>
    (await stage.plain('read -r line < <(sleep 2; echo 5); echo got $line')).output.includes('got 5');

/** The verdict is what the sandbox's folder holds when the command has ended. */
function disk(id: string, goal: string, text: string, measure: (folder: string) => number, least: number): Attack {
  const attempt = async (stage: Stage, host: TestHost) => {
    const sandbox = await host.open();
    const folder = join(host.stateDir, 'sandboxes', sandbox);
    const { output } = await host.bash(sandbox, text);
    // As an ordinary user sees it too.
    spawnSync('chmod', ['-R', 'u+rwX', folder]);
    const has = measure(folder);
    await host.provider.terminate(sandbox);
    return has >= least && !output.includes('sandbox.limits');
  };
  return {
    id,
    category: 'disk',
    goal,
    control: (stage) => attempt(stage, stage.bare),
    inside: (stage) => attempt(stage, stage.isolated),
  };
}
const du =
  (...flags: string[]) =>
  (folder: string): number =>
    Number(/^\d+/.exec(spawnSync('du', ['-s', ...flags, folder]).stdout.toString())?.[0] ?? 0);

const disks: Attack[] = [
  disk(
    'disk-many',
    'more disk than allowed, in many files',
    'for i in $(seq 50); do head -c 5000000 /dev/zero > f$i; sleep 0.02; done',
    du('-m'),
    200,
  ),
  disk(
    'disk-tmp',
    'the same in /tmp',
    'for i in $(seq 50); do head -c 5000000 /dev/zero > $TMPDIR/f$i; sleep 0.02; done',
    du('-m'),
    200,
  ),
  disk(
    'disk-home',
    'the same in the home',
    'for i in $(seq 50); do head -c 5000000 /dev/zero > ~/f$i; sleep 0.02; done',
    du('-m'),
    200,
  ),
  disk(
    'disk-dark',
    'the same where nobody may look',
    'mkdir d; for i in $(seq 50); do head -c 5000000 /dev/zero > d/f$i; sleep 0.02; done; chmod 000 d',
    du('-m'),
    200,
  ),
  disk(
    'disk-allocate',
    'the same at once, without writing',
    python(`
for i in range(9):
    fd = os.open('a%d' % i, os.O_CREAT | os.O_WRONLY)
    if libc.fallocate(fd, 0, ctypes.c_long(0), ctypes.c_long(30 << 20)) != 0: raise OSError(errno(), 'fallocate')
`),
    du('-m'),
    200,
  ),
  disk('disk-large', 'a larger file than allowed', 'head -c 60000000 /dev/zero > large', du('-m'), 57),
  disk(
    'files-many',
    'more files than allowed',
    'for d in $(seq 16); do mkdir m$d; (cd m$d && seq 500 | xargs touch); sleep 0.03; done',
    du('--inodes'),
    8_000,
  ),
  disk(
    'files-folders',
    'more folders than allowed',
    'for d in $(seq 16); do mkdir -p n$d; (cd n$d && seq 500 | xargs mkdir); sleep 0.03; done',
    du('--inodes'),
    8_000,
  ),
  disk(
    'files-links',
    'more names than allowed, by links',
    python(`
for folder in range(16):
    os.mkdir('l%d' % folder)
    for i in range(500): os.symlink('x', 'l%d/%d' % (folder, i))
    time.sleep(0.05)
`),
    du('--inodes'),
    8_000,
  ),
];

export const RESOURCES: readonly Attack[] = [...processes, ...disks];
