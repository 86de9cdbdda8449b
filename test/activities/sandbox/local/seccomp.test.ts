import { arch } from 'node:os';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { probeIsolation } from '../../../../src/activities/sandbox/local/isolation.ts';
import { seccompFilter } from '../../../../src/activities/sandbox/local/seccomp/compile.ts';
import { ERRNO, LAST_KNOWN_CALL, RULES } from '../../../../src/activities/sandbox/local/seccomp/rules.ts';
import { runProcess } from '../../../../src/activities/process/run-process.ts';
import { type TestHost, testHost } from '../support.ts';

type Verdict = { allow: true } | { kill: true } | { errno: number };
type Call = { nr: number; arch: number; args?: readonly number[] };

/** Classic BPF as the kernel runs it, for the instructions that filters of system calls may have. */
function judge(filter: Buffer, { nr, arch: machine, args = [] }: Call): Verdict {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, nr >>> 0, true);
  data.setUint32(4, machine, true);
  args.forEach((arg, i) => data.setBigUint64(16 + 8 * i, BigInt(arg), true));
  let a = 0;
  for (let pc = 0; pc < filter.length / 8; pc++) {
    const code = filter.readUInt16LE(pc * 8);
    const [jt, jf] = [filter.readUInt8(pc * 8 + 2), filter.readUInt8(pc * 8 + 3)];
    const k = filter.readUInt32LE(pc * 8 + 4);
    if (code === 0x20) a = data.getUint32(k, true);
    else if (code === 0x54) a = (a & k) >>> 0;
    else if (code === 0x15) pc += a === k ? jt : jf;
    else if (code === 0x25) pc += a > k ? jt : jf;
    else if (code === 0x45) pc += (a & k) !== 0 ? jt : jf;
    else if (code === 0x06) {
      if (k === 0x7fff_0000) return { allow: true };
      if (k === 0x8000_0000) return { kill: true };
      expect(k >>> 16).toBe(5);
      return { errno: k & 0xffff };
    } else throw new Error(`instruction ${pc} has code ${code}`);
  }
  throw new Error('the filter has no end');
}

const MACHINES = [
  {
    name: 'x64',
    audit: 0xc000003e,
    foreign: 0x40000003,
    openat: 257,
    clone: 56,
    socket: 41,
    ioctl: 16,
    unshare: 272,
    mknodat: 259,
    personality: 135,
  },
  {
    name: 'arm64',
    audit: 0xc00000b7,
    foreign: 0x40000028,
    openat: 56,
    clone: 220,
    socket: 198,
    ioctl: 29,
    unshare: 97,
    mknodat: 33,
    personality: 92,
  },
] as const;

describe.each(MACHINES)('the filter for $name', (machine) => {
  const filter = seccompFilter(machine.name) ?? Buffer.alloc(0);
  const ask = (nr: number, ...args: number[]) => judge(filter, { nr, arch: machine.audit, args });
  const allow = { allow: true };

  test('refuses each call of the table that is refused whatever its arguments, and no other of the known ones', () => {
    const always = RULES.filter(({ refuse }) => refuse.some((each) => 'always' in each));
    const some = RULES.filter((rule) => !always.includes(rule)).map((rule) => rule[machine.name]);
    const expected = new Map(always.map((rule) => [rule[machine.name], rule.refuse[0]?.errno ?? 'EPERM']));
    for (let nr = 0; nr <= LAST_KNOWN_CALL; nr++) {
      const errno = expected.get(nr);
      if (some.includes(nr)) continue;
      expect({ nr, ...ask(nr) }).toEqual({ nr, ...(errno === undefined ? allow : { errno: ERRNO[errno] }) });
    }
  });

  test('ends programs of another machine type, and knows no call that it was not written for', () => {
    expect(judge(filter, { nr: machine.openat, arch: machine.foreign })).toEqual({ kill: true });
    for (const nr of [LAST_KNOWN_CALL + 1, 0x4000_0000 + machine.openat, 0xffff_ffff])
      expect(ask(nr)).toEqual({ errno: ERRNO.ENOSYS });
  });

  test('lets threads and processes be made, and no namespace', () => {
    expect(ask(machine.clone, 0x3d0f00)).toEqual(allow);
    expect(ask(machine.clone, 17)).toEqual(allow);
    expect(ask(machine.unshare, 0x400)).toEqual(allow);
    for (const flag of [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]) {
      expect(ask(machine.clone, flag + 17)).toEqual({ errno: ERRNO.EPERM });
      expect(ask(machine.unshare, flag)).toEqual({ errno: ERRNO.EPERM });
    }
    expect(ask(machine.unshare, 0x80)).toEqual({ errno: ERRNO.EPERM });
  });

  test('lets four families of sockets be made, of netlink the routes only', () => {
    for (const family of [1, 2, 10]) expect(ask(machine.socket, family, 1, 0)).toEqual(allow);
    expect(ask(machine.socket, 16, 3, 0)).toEqual(allow);
    for (const [family, protocol] of [
      [16, 9],
      [16, 15],
      [17, 0],
      [38, 0],
      [40, 0],
      [0, 0],
      [45, 0],
    ] as const)
      expect(ask(machine.socket, family, 3, protocol)).toEqual({ errno: ERRNO.EAFNOSUPPORT });
  });

  test('looks at the arguments that the kernel looks at', () => {
    expect(ask(machine.ioctl, 0, 0x5401)).toEqual(allow);
    expect(ask(machine.ioctl, 0, 0x5412)).toEqual({ errno: ERRNO.EPERM });
    expect(ask(machine.ioctl, 0, 0x1_0000_5412)).toEqual({ errno: ERRNO.EPERM });
    expect(ask(machine.mknodat, 0, 0, 0o010644)).toEqual(allow);
    for (const type of [0o020666, 0o060666]) expect(ask(machine.mknodat, 0, 0, type)).toEqual({ errno: ERRNO.EPERM });
    expect(ask(machine.personality, 0xffff_ffff)).toEqual(allow);
    expect(ask(machine.personality, 0x40000)).toEqual({ errno: ERRNO.EPERM });
  });
});

test('there is no filter for a machine whose calls nobody has looked up', () => {
  expect(seccompFilter('riscv64')).toBeNull();
});

/** Each call with arguments that do nothing; its error number, or 0. */
const CALLS = `
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
for nr in map(int, sys.argv[1:]):
    ctypes.set_errno(0)
    done = libc.syscall(nr, -1, -1, -1, 0, 0, 0)
    print(nr, ctypes.get_errno() if done == -1 else 0)
`;
const COMPAT = `
import ctypes, mmap
code = bytes.fromhex('b814000000cd80c3')
memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(code)
at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
print('pid', ctypes.CFUNCTYPE(ctypes.c_int)(at)())
`;

describe.skipIf(arch() !== 'x64' && arch() !== 'arm64')('in a sandbox', () => {
  let host: TestHost;
  let id: string;
  let bwrap: string;
  beforeAll(async () => {
    host = await testHost({ limits: { minFreeDiskMb: 0 } });
    id = await host.open();
    const probe = await probeIsolation();
    bwrap = probe.ok ? probe.bwrap : '';
  });
  afterAll(() => host.close());
  const python = async (script: string, args: string[]) =>
    (
      await host.provider.exec(id, ['python3', '-c', script, ...args], { timeoutMs: 20_000, combine: true })
    ).stdout.toString();
  const unfiltered = async (script: string, args: string[]) => {
    const argv = [
      bwrap,
      '--unshare-all',
      '--cap-drop',
      'ALL',
      '--ro-bind',
      '/',
      '/',
      '--proc',
      '/proc',
      '--',
      '/usr/bin/python3',
    ];
    return (await runProcess([...argv, '-c', script, ...args], { env: {}, timeoutMs: 20_000 })).stdout.toString();
  };

  it('the kernel refuses as the table says, and most of it would be allowed to ask without', async () => {
    const rules = RULES.filter(({ refuse }) => refuse.some((each) => 'always' in each));
    const machine = arch() === 'arm64' ? 'arm64' : 'x64';
    const numbers = rules.flatMap((rule) => (rule[machine] === null ? [] : [String(rule[machine])]));
    const expected = rules.flatMap((rule) =>
      rule[machine] === null ? [] : [`${rule[machine]} ${ERRNO[rule.refuse[0]?.errno ?? 'EPERM']}`],
    );
    expect((await python(CALLS, numbers)).trim().split('\n')).toEqual(expected);
    const without = (await unfiltered(CALLS, numbers)).trim().split('\n');
    expect(without).toHaveLength(expected.length);
    expect(without.filter((line) => !expected.includes(line)).length).toBeGreaterThan(20);
  });

  it.skipIf(arch() !== 'x64')('ends a program that speaks to the kernel as one of 32 bits', async () => {
    expect(await unfiltered(COMPAT, [])).toMatch(/^pid \d+/);
    const { output } = await host.bash(id, `python3 -c "${COMPAT.replaceAll('"', '\\"')}"`);
    expect(output).not.toMatch(/pid \d/);
    expect(output).toContain('ended by the sandbox');
  });

  it('lets the usual tools work: threads, processes, semaphores, watchers, sockets of its own, git, make, a compiler', async () => {
    const said = await host.bash(
      id,
      [
        'set -e',
        `python3 -c "
import multiprocessing, asyncio, tempfile, socket, threading
if __name__ == '__main__':
    with multiprocessing.get_context('fork').Pool(3) as pool: print('pool', sum(pool.map(abs, range(10))))
    async def main():
        server = await asyncio.start_server(lambda r, w: w.close(), '127.0.0.1', 0)
        await asyncio.open_connection(*server.sockets[0].getsockname()); print('socket')
    asyncio.run(main())
"`,
        `node -e "
const { Worker } = require('node:worker_threads'); const os = require('node:os'); const fs = require('node:fs');
console.log('interfaces', Object.keys(os.networkInterfaces()).join());
const watcher = fs.watch('.', () => { console.log('watched'); watcher.close(); });
new Worker('require(\\'node:child_process\\').execFileSync(\\'true\\'); console.log(\\'worker\\')', { eval: true }).on('exit', () => fs.writeFileSync('w', ''));
"`,
        'git init -q x && cd x && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m one && git clone -q . ../y && git -C ../y gc -q && echo git',
        'printf "all:\\n\\t@echo made\\n" > Makefile && make -j2',
        'mkfifo fifo && (echo through > fifo &) && cat fifo',
        'echo "a b" | xargs -P2 -n1 echo | sort',
        'if command -v cc > /dev/null; then printf "int main(){return 0;}" > a.c && cc a.c -o a && ./a && echo compiled; else echo compiled; fi',
      ].join('\n'),
    );
    expect(said.output.split('\n').filter((line) => line !== '')).toEqual([
      'pool 45',
      'socket',
      'interfaces lo',
      'worker',
      'watched',
      'git',
      'made',
      'through',
      'a',
      'b',
      'compiled',
    ]);
    expect(said.status).toBe('ok');
  });
});
