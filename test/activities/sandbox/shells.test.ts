import { mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExecOptions } from '../../../src/activities/sandbox/provider.ts';
import { type TestHost, testHost } from './support.ts';

const COMMANDS = [
  'echo "$0 $- $# $*" $BASH_SUBSHELL $SHLVL $BASH; [ $$ = $BASHPID ] && echo same',
  'env | sort',
  'nonesuch --option',
  'echo one; if',
  'echo "a',
  'set -e; false; echo not said',
  "trap 'echo bye $?' EXIT; exit 5",
  'exec sh -c "exit 6"',
  "cat <<'END' - <<< more\n$HOME\nEND\n",
  'return 3; echo after',
  'alias x="echo y"; x',
  'echo "wow!!" ; history',
  'diff <(echo a) <(echo b)',
  'cat < /dev/stdin | wc -c; [ -t 0 ] || echo no terminal',
  'sleep 0.05 & jobs | wc -l; wait $!; echo $?; fg',
  'trap "echo caught; exit 9" USR1; kill -USR1 $$; echo not here',
  'kill -TERM $$',
  'sh -c "kill -SEGV \\$\\$"; echo $?',
  '(kill -9 $BASHPID); echo $?',
  'ulimit -a',
  'locale 2>&1; printf "é" | wc -m',
  'umask; pwd; echo ~; id',
  'grep -E "^(Sig(Ign|Blk)|Cap|NoNewPrivs|Seccomp:|Groups|Uid)" /proc/self/status',
  'ls /proc/self/fd | wc -l; { echo x >&7; }',
  'f() { local x=1; return $x; }; f; echo $?; readonly r=1; r=2; echo not reached',
  'exit 300',
  'printf "%s|" "it\'s" "$(printf "\\377" | od -An -tx1)"; false | true; echo ${PIPESTATUS[*]}',
];

describe('a shell that is kept between commands', () => {
  let host: TestHost;
  let id: string;
  beforeAll(async () => {
    host = await testHost({ limits: { memoryMb: 200, processes: 60, minFreeDiskMb: 0 } });
    id = await host.open();
  });
  afterAll(() => host.close());

  const exec = (command: string, options: Partial<ExecOptions> = {}) =>
    host.provider.exec(id, ['/bin/bash', '-c', command], { timeoutMs: 30_000, ...options });
  const said = async (command: string, options?: Partial<ExecOptions>) =>
    (await exec(command, options)).stdout.toString();

  it('runs one command after the other in the same place', async () => {
    const namespaces = await Promise.resolve(said('readlink /proc/self/ns/pid'));
    expect(await said('readlink /proc/self/ns/pid')).toBe(namespaces);
  });

  it('gives each its own streams, whole and in bytes, and its status', async () => {
    const result = await exec('printf "a\\0\\xff\\n\\n"; printf "no line" >&2; exit 7');
    expect(result.stdout).toEqual(Buffer.from('a\0\xff\n\n', 'latin1'));
    expect(result).toMatchObject({ stderr: 'no line', exitCode: 7, reason: 'exit' });
    expect(await exec('true')).toMatchObject({ stderr: '', exitCode: 0, bytes: 0 });
    const long = await exec('head -c 3000000 /dev/zero | tr "\\0" x; echo end', { headBytes: 10, tailBytes: 4 });
    expect(long).toMatchObject({ bytes: 3_000_004, truncated: true });
    expect(long.tail.toString()).toBe('end\n');
    expect((await exec('echo out; echo err >&2', { combine: true })).stdout.toString()).toBe('out\nerr\n');
  });

  it('tells a signal as any shell does, and says nothing of its own', async () => {
    expect(await exec('kill -SEGV $$')).toMatchObject({ exitCode: 139, stderr: '' });
  });

  it('leaves no process of a command to the next, whatever it was told to outlive', async () => {
    await exec('(trap "" TERM HUP; setsid sleep 300 & nohup sleep 301 & disown -a) >/dev/null 2>&1');
    expect(await said('ls /proc | grep -c "^[0-9]"; cat /proc/[0-9]*/comm')).not.toContain('sleep');
    // A process that makes others faster than they end.
    await exec('f() { (sleep 0.01; f) & }; f; f; f');
    // Without a process: the namespace's init, the shell, and this.
    expect((await said('echo /proc/[0-9]*')).split(' ')).toHaveLength(3);
  });

  it('leaves no file in memory to the next', async () => {
    await exec(
      'echo mine > /dev/shm/a; echo mine > /dev/shm/.b; mkdir -p "/dev/shm/c d/e"; ln -s nowhere /dev/shm/..f',
    );
    expect(await said('ls -A /dev/shm')).toBe('');
  });

  it('keeps variables, folder and descriptors of one command from the next', async () => {
    expect(
      await said('export LEFT=1; cd /tmp; umask 000; echo "$GIVEN in $PWD"', { env: { GIVEN: "it's" }, cwd: '/tmp' }),
    ).toBe("it's in /tmp\n");
    expect(await said('echo "[$LEFT$GIVEN] $PWD $(umask)"')).toBe('[] /workspace 0022\n');
    expect(await said('ls /proc/self/fd | grep "^[4-9]$"')).toBe('');
  });

  it('is no file that a command can read, nor a process that it can look into', async () => {
    const shell = 'shell=$(grep -lx sh /proc/[0-9]*/comm | head -1 | xargs dirname)';
    expect(await said(`${shell}; echo $shell`)).toMatch(/^\/proc\/\d\n$/);
    for (const what of ['cat $shell/mem', 'ls -l $shell/fd', 'cat $shell/environ', 'echo x > $shell/mem'])
      expect(await exec(`${shell}; ${what}`)).toMatchObject({ stderr: expect.stringMatching(/denied|not permitted/) });
    expect((await exec('cat /run/shell/sh; cp /run/shell/sh /tmp/')).stderr).toMatch(/denied/);
    expect((await exec('echo x >&4')).stderr).toContain('Bad file descriptor');
  });

  it('gives a command its input, in bytes, and runs scripts of ours without another program', async () => {
    const namespace = await said('readlink /proc/self/ns/pid');
    const bytes = Buffer.from([...Array.from({ length: 255 }, (_, i) => i + 1), ...Buffer.from(`'"$(id)\\\n`)]);
    const cat = async (stdin: Buffer | string) =>
      (await host.provider.exec(id, ['/bin/cat'], { timeoutMs: 10_000, stdin })).stdout;
    expect(await cat(bytes)).toEqual(bytes);
    expect((await cat('é→\n'.repeat(5_000))).toString()).toBe('é→\n'.repeat(5_000));
    expect(await cat('')).toEqual(Buffer.alloc(0));
    const script = [
      '/bin/sh',
      '-c',
      'cat; printf "%s|" "$0" "$@"; readlink /proc/self/ns/pid; exit 3',
      'sh',
      "a'b",
      '',
    ];
    const result = await host.provider.exec(id, script, { timeoutMs: 10_000, stdin: 'in ' });
    expect(result.exitCode).toBe(3);
    expect(result.stdout.toString()).toMatch(
      new RegExp(`^in .*\\|a'b\\|\\|${namespace.trim().replace(/[[\]]/g, '\\$&')}\n$`),
    );
    // What does not read its input ends all the same.
    expect(await exec('exit 4', { stdin: 'x'.repeat(60_000) })).toMatchObject({ exitCode: 4 });
  });

  it('gives input that a shell cannot be told to a command elsewhere', async () => {
    for (const stdin of [Buffer.from('a\0b'), 'x'.repeat(200_000)])
      expect((await exec('cat', { stdin })).stdout).toEqual(Buffer.from(stdin));
  });

  it('ends with a command that ends it, and the next one has another', async () => {
    const result = await exec('echo before; kill -9 -1; sleep 300');
    expect(result.stdout.toString()).toBe('before\n');
    expect(result.exitCode).not.toBe(0);
    expect(await said('echo again')).toBe('again\n');
  });

  it('ends with a command that takes too long or is told to stop', async () => {
    expect(await exec('echo begun; sleep 300', { timeoutMs: 700 })).toMatchObject({ reason: 'timeout', bytes: 6 });
    const signal = AbortSignal.timeout(500);
    expect(await exec('sleep 300', { signal })).toMatchObject({ reason: 'aborted' });
    expect(await exec('yes', { maxBytes: 100_000 })).toMatchObject({ reason: 'output-limit' });
    expect(await said('echo again')).toBe('again\n');
  });

  it('ends after a command that met a limit: memory may outlive its processes', async () => {
    const before = await said('readlink /proc/self/ns/pid');
    const result = await exec('head -c 300000000 /dev/zero > /dev/shm/big; tail -c 300000000 /dev/zero | wc -c');
    expect(result.limits).toBeDefined();
    expect(await said('readlink /proc/self/ns/pid')).not.toBe(before);
  });

  it('runs commands side by side, those that find it busy elsewhere', async () => {
    const all = await Promise.all([1, 2, 3].map((n) => said(`sleep 0.3; echo ${n}`)));
    expect(all).toEqual(['1\n', '2\n', '3\n']);
  });

  it('runs a command as a bubblewrap of its own does', async () => {
    const fresh: unknown[] = [];
    const told = async (command: string, options?: Partial<ExecOptions>) => {
      const { stdout, stderr, exitCode, reason } = await exec(command, options);
      // Numbers of processes go on in a shell that is kept.
      const said = stderr.replace(/(line 1:) +\d+ (?=[A-Z])/g, '$1 ');
      return { command, stdout: stdout.toString('latin1'), stderr: said, exitCode, reason };
    };
    // While the shell is busy, others find no shell.
    const held = exec('sleep 60', { signal: AbortSignal.timeout(3_000) });
    for (const command of COMMANDS) fresh.push(await told(command));
    fresh.push(await told('cat; echo $PWD', { stdin: 'in', cwd: '/tmp', env: { A: 'b c' }, combine: true }));
    expect((await held).reason).toBe('aborted');
    const kept: unknown[] = [];
    for (const command of COMMANDS) kept.push(await told(command));
    kept.push(await told('cat; echo $PWD', { stdin: 'in', cwd: '/tmp', env: { A: 'b c' }, combine: true }));
    expect(kept).toEqual(fresh);
  });

  it("is not the one in which the host's own git folder is mounted", async () => {
    const own = await host.provider.exec(id, ['/bin/sh', '-c', 'ls -d "$1"/HEAD', 'sh', '/run/checkpoint'], {
      timeoutMs: 10_000,
      git: true,
    });
    expect(own.stdout.toString()).toBe('/run/checkpoint/HEAD\n');
    expect(await said('ls /run/checkpoint 2>&1')).toContain('cannot access');
  });

  it('is left behind when the work tree is another folder', async () => {
    const folder = join(host.stateDir, 'sandboxes', id);
    await exec('echo old > only-here');
    renameSync(join(folder, 'workspace'), join(folder, 'was'));
    mkdirSync(join(folder, 'workspace'));
    expect(await said('cat only-here 2>&1')).toContain('No such file');
  });

  it('is gone when its sandbox is', async () => {
    const another = await host.open();
    await host.provider.exec(another, ['/bin/true'], { timeoutMs: 10_000 });
    await host.provider.terminate(another);
    const left = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => commandLine(pid).includes(another));
    expect(left).toEqual([]);
  });
});

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
