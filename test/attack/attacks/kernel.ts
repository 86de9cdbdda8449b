/** Attacks on the kernel's borders: signals, ptrace, namespaces, devices, sockets, names, the clock. */
import { hostname } from 'node:os';
import { type Attack, python, script } from '../attack.ts';
import type { Stage } from '../stage.ts';

const ofVictim =
  (text: (pid: number, stage: Stage) => string) =>
  async (stage: Stage): Promise<string> =>
    text(await stage.victim(), stage);

/** The verdict is whether the bystander still lives, once the script has run. */
function deadly(id: string, goal: string, text: (pid: number, stage: Stage) => string): Attack {
  const attempt = async (stage: Stage, how: 'unsafe' | 'sandboxed') => {
    const pid = await stage.victim();
    await stage[how](text(pid, stage));
    for (let i = 0; i < 20 && stage.isAlive(pid); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    return !stage.isAlive(pid);
  };
  return {
    id,
    category: 'signals',
    goal,
    control: (stage) => attempt(stage, 'unsafe'),
    inside: (stage) => attempt(stage, 'sandboxed'),
  };
}

const signals: Attack[] = [
  deadly('kill-term', 'to end a process of the host (TERM)', (pid) => `kill -TERM ${pid}`),
  deadly('kill-kill', 'to end a process of the host (KILL)', (pid) => `kill -KILL ${pid}`),
  deadly('kill-name', 'to end one by its command line', (_, { canary }) => `pkill -KILL -f ${canary}`),
  deadly('kill-queue', 'to end one by sigqueue and tgkill', (pid) =>
    python(`libc.syscall(234, ${pid}, ${pid}, 9); os.kill(${pid}, 9)`),
  ),
  deadly('kill-pidfd', 'to end one by a pidfd', (pid) =>
    python(`import signal\nsignal.pidfd_send_signal(os.pidfd_open(${pid}), 9)`),
  ),
  script(
    'signals',
    'signal-user',
    'to have a process of the host act on a signal',
    async (stage) => {
      const pid = await stage.victim();
      return `kill -USR2 ${pid}; sleep 0.3`;
    },
    {
      judge: (stage) => {
        const hit = `${stage.outside}/hit`;
        const is = stage.isMarked(hit);
        stage.unmark(hit);
        return is;
      },
    },
  ),
  script(
    'signals',
    'signal-stop',
    'to stop a process of the host',
    ofVictim((pid) => `kill -STOP ${pid} && grep -q '^State:.T' /proc/${pid}/status && echo $W`),
  ),
  script(
    'signals',
    'renice',
    'to change another process’s priority',
    ofVictim((pid) => `renice -n 10 -p ${pid} && echo $W`),
  ),
  script(
    'signals',
    'prlimit',
    'to change another process’s limits',
    ofVictim((pid) => `prlimit --pid ${pid} --nofile=64:64 && echo $W`),
  ),
  script(
    'signals',
    'affinity',
    'to bind another process to one processor',
    ofVictim((pid) => `taskset -p 1 ${pid} && echo $W`),
  ),
];

const ptrace: Attack[] = [
  script(
    'ptrace',
    'ptrace-attach',
    'to take over a process of the host',
    ofVictim((pid) =>
      python(`
if libc.ptrace(16, ${pid}, 0, 0) == 0:
    os.waitpid(${pid}, 0x40000000)
    libc.ptrace(17, ${pid}, 0, 0)
    won()
`),
    ),
  ),
  script(
    'ptrace',
    'ptrace-seize',
    'to take one over without stopping it',
    ofVictim((pid) =>
      python(`
if libc.ptrace(0x4206, ${pid}, 0, 0) == 0: won()
`),
    ),
  ),
  script(
    'ptrace',
    'process-vm-readv',
    'to read another process’s memory at once',
    ofVictim((pid) =>
      python(`
line = next(l for l in open('/proc/${pid}/maps') if '[stack]' in l)
start = int(line.split('-')[0], 16); end = int(line.split('-')[1].split()[0], 16)
class iovec(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('len', ctypes.c_size_t)]
buffer = ctypes.create_string_buffer(end - start)
local = iovec(ctypes.addressof(buffer), end - start); remote = iovec(start, end - start)
libc.process_vm_readv(${pid}, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
if b'canary-' in buffer.raw: won()
`),
    ),
  ),
  script(
    'ptrace',
    'process-vm-writev',
    'to write another process’s memory',
    ofVictim((pid) =>
      python(`
line = next(l for l in open('/proc/${pid}/maps') if '[stack]' in l)
start = int(line.split('-')[0], 16)
class iovec(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('len', ctypes.c_size_t)]
buffer = ctypes.create_string_buffer(8)
local = iovec(ctypes.addressof(buffer), 8); remote = iovec(start, 8)
if libc.process_vm_writev(${pid}, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) == 8: won()
`),
    ),
  ),
  script(
    'ptrace',
    'pidfd-getfd',
    'to take an open file of another process',
    ofVictim((pid) =>
      python(`
fd = libc.syscall(434, ${pid}, 0)
for other in range(40):
    got = libc.syscall(438, fd, other, 0)
    if got >= 0 and b'canary-' in (os.pread(got, 100, 0) if os.path.isfile('/proc/self/fd/%d' % got) else b''): won()
`),
    ),
  ),
  script(
    'ptrace',
    'kcmp',
    'to compare kernel objects with another process',
    ofVictim((pid) =>
      python(`
if libc.syscall(312, os.getpid(), ${pid}, 0, 0, 0) >= 0: won()
`),
    ),
  ),
  script(
    'ptrace',
    'ptrace-own',
    'the interface at all: a child that asks to be traced',
    python(`
child = os.fork()
if child == 0: os._exit(7 if libc.ptrace(0, 0, 0, 0) == 0 else 1)
if os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 7: won()
`),
  ),
];

/** In a mount namespace of its own, so that the control leaves nothing behind. */
const privately = (text: string): string =>
  `unshare -m --propagation private /bin/sh -c 'mkdir -p m; ${text}' && echo $W`;

const mounts: Attack[] = [
  script('mounts and namespaces', 'mount-tmpfs', 'to mount a file system', privately('mount -t tmpfs none m'), {
    root: true,
  }),
  script(
    'mounts and namespaces',
    'mount-proc',
    'to mount /proc anew, without its read-only parts',
    privately('mount -t proc none m'),
    { root: true },
  ),
  script(
    'mounts and namespaces',
    'mount-sys',
    'to mount /sys and the control groups',
    privately('mount -t sysfs none m'),
    { root: true },
  ),
  script(
    'mounts and namespaces',
    'mount-bind',
    'to bind a folder of the host',
    (stage) => privately(`mount --bind ${stage.outside} m && cat m/secret`),
    { root: true },
  ),
  script(
    'mounts and namespaces',
    'mount-overlay',
    'to lay something over the system',
    privately(
      'mkdir u w; mount -t overlay none -o lowerdir=/usr/share,upperdir=u,workdir=w m || mount --bind /usr/share m',
    ),
    { root: true },
  ),
  script(
    'mounts and namespaces',
    'remount',
    'to make a read-only part writable',
    privately('mount --bind /usr/share m && mount -o remount,bind,ro m && mount -o remount,bind,rw m'),
    { root: true },
  ),
  script('mounts and namespaces', 'umount', 'to take a cover away', privately('mount -t tmpfs none m && umount m'), {
    root: true,
  }),
  script(
    'mounts and namespaces',
    'pivot-root',
    'another root',
    python(`
if libc.unshare(0x20000) == 0 and libc.mount(b'none', b'/', None, 0x44000, None) == 0:
    os.makedirs('r', exist_ok=True); libc.mount(b'none', b'r', b'tmpfs', 0, None); os.makedirs('r/old', exist_ok=True)
    if libc.syscall(155, b'r', b'r/old') == 0: print('PW' + 'NED', flush=True); os._exit(0)
`),
    { root: true },
  ),
  script(
    'mounts and namespaces',
    'chroot',
    'to climb out of a root by chroot',
    python(`
os.makedirs('c', exist_ok=True); fd = os.open('.', os.O_RDONLY)
if os.fork() == 0:
    os.chroot('c'); os.fchdir(fd)
    for _ in range(64): os.chdir('..')
    os.chroot('.'); print('PW' + 'NED', flush=True); os._exit(0)
os.wait()
`),
    { root: true },
  ),
  script(
    'mounts and namespaces',
    'user-namespace',
    'a user namespace, and all its capabilities',
    python(`if libc.unshare(0x10000000) == 0: won()`),
  ),
  script(
    'mounts and namespaces',
    'clone-user-namespace',
    'the same by clone',
    python(`
pid = libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)
if pid == 0: os._exit(0)
if pid > 0: os.waitpid(pid, 0); won()
`),
  ),
  script(
    'mounts and namespaces',
    'clone3-user-namespace',
    'the same by clone3, whose flags are in memory',
    python(`
args = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)
pid = libc.syscall(435, ctypes.byref(args), 88)
if pid == 0: os._exit(0)
if pid > 0: os.waitpid(pid, 0); won()
`),
  ),
  script(
    'mounts and namespaces',
    'setns',
    'the namespaces of a process of the host',
    ofVictim((pid) => `nsenter -t ${pid} -m -n -p true && echo $W`),
    { root: true },
  ),
  script(
    'mounts and namespaces',
    'new-mount-api',
    'a file system by the newer interface',
    python(`if libc.syscall(430, b'tmpfs', 0) >= 0: won()`),
    { root: true },
  ),
  script(
    'mounts and namespaces',
    'open-tree',
    'a copy of a mount',
    python(`if libc.syscall(428, -100, b'/usr', 1) >= 0: won()`),
    { root: true },
  ),
  script(
    'mounts and namespaces',
    'open-by-handle',
    'files by handle, past all mounts',
    (stage) =>
      python(`
class handle(ctypes.Structure): _fields_ = [('bytes', ctypes.c_uint), ('type', ctypes.c_int), ('data', ctypes.c_ubyte * 128)]
at = handle(128); mount = ctypes.c_int()
path = b'${stage.outside}/secret' if os.path.exists('${stage.outside}/secret') else b'README.md'
if libc.name_to_handle_at(-100, path, ctypes.byref(at), ctypes.byref(mount), 0) != 0: raise OSError(errno(), 'name')
root = os.open('.', os.O_RDONLY)
fd = libc.open_by_handle_at(root, ctypes.byref(at), os.O_RDONLY)
if fd >= 0: won()
`),
    { root: true },
  ),
];

const devices: Attack[] = [
  script(
    'devices and kernel',
    'mknod-char',
    'a device node of memory',
    'mknod dev-mem c 1 1 && echo $W; rm -f dev-mem',
    { root: true },
  ),
  script(
    'devices and kernel',
    'mknod-block',
    'a device node of a disk',
    'mknod dev-disk b 254 0 && echo $W; rm -f dev-disk',
    { root: true },
  ),
  script('devices and kernel', 'kmsg-write', 'to write to the kernel’s log', 'exec 3> /dev/kmsg && echo $W', {
    root: true,
  }),
  script(
    'devices and kernel',
    'disk',
    'the host’s disks',
    'for d in $(ls /dev/vd* /dev/sd* /dev/nvme* /dev/loop0 /dev/loop-control 2>/dev/null); do exec 3< $d && echo $W && break; done',
    { root: true },
  ),
  script(
    'devices and kernel',
    'core-pattern',
    'a program that the host starts when something crashes',
    `v=$(cat /proc/sys/kernel/core_pattern); printf %s "$v" > /proc/sys/kernel/core_pattern && echo $W`,
    { root: true },
  ),
  script(
    'devices and kernel',
    'modprobe-path',
    'a program that the kernel starts for modules',
    `f=/proc/sys/kernel/modprobe; [ -e $f ] || f=/proc/sys/kernel/hotplug; [ -e $f ] || f=/proc/sys/kernel/poweroff_cmd; v=$(cat $f); printf %s "$v" > $f && echo $W`,
    { root: true },
  ),
  script(
    'devices and kernel',
    'sysctl-vm',
    'settings of the host’s memory',
    `v=$(cat /proc/sys/vm/swappiness); echo "$v" > /proc/sys/vm/swappiness && echo $W`,
    { root: true },
  ),
  script(
    'devices and kernel',
    'sysctl-links',
    'settings that protect links',
    `v=$(cat /proc/sys/fs/protected_symlinks); echo "$v" > /proc/sys/fs/protected_symlinks && echo $W`,
    { root: true },
  ),
  script(
    'devices and kernel',
    'panic',
    'to restart the machine',
    'v=$(cat /proc/sys/kernel/panic); echo "$v" > /proc/sys/kernel/panic && echo $W',
    { root: true },
  ),
  script(
    'devices and kernel',
    'kallsyms',
    'addresses of the kernel',
    `grep -qv '^0000000000000000 ' /proc/kallsyms && echo $W`,
    { root: true },
  ),
  script(
    'devices and kernel',
    'page-counts',
    'which pages of memory are in use',
    'head -c 8 /proc/kpagecount | grep -qc . && echo $W || { exec 3< /proc/kpageflags && head -c 8 <&3 | wc -c | grep -qx 8 && echo $W; }',
    { root: true },
  ),
  script(
    'devices and kernel',
    'keys',
    'keys of the worker’s user',
    python(`
key = libc.syscall(248, b'user', b'attack', b'x', 1, -2)
if key > 0:
    libc.syscall(250, 3, key); won()
`),
  ),
  script(
    'devices and kernel',
    'bpf',
    'programs in the kernel',
    python(`
attr = (ctypes.c_uint32 * 32)(1, 4, 4, 1)
if libc.syscall(321, 0, ctypes.byref(attr), 128) >= 0: won()
`),
    { root: true },
  ),
  script(
    'devices and kernel',
    'perf',
    'to measure the host',
    python(`
attr = ctypes.create_string_buffer(struct.pack('IIQ', 1, 112, 0), 112)
if libc.syscall(298, attr, 0, -1, -1, 0) >= 0: won()
`),
    { root: true },
  ),
  script(
    'devices and kernel',
    'userfaultfd',
    'to handle the kernel’s page faults',
    python(`if libc.syscall(323, 0) >= 0: won()`),
    { root: true },
  ),
  script(
    'devices and kernel',
    'io-uring',
    'io_uring',
    python(`
params = ctypes.create_string_buffer(120)
if libc.syscall(425, 2, params) >= 0: won()
`),
  ),
  script(
    'devices and kernel',
    'host-name',
    'to rename the host',
    python(`
name = socket.gethostname()
if libc.sethostname(name.encode(), len(name)) == 0: won()
`),
    { root: true },
  ),
  script(
    'devices and kernel',
    'terminal-input',
    'to type into the terminal of whoever started it (TIOCSTI)',
    python(`
import pty, fcntl
master, slave = pty.openpty()
fcntl.ioctl(slave, 0x5412, b'x'); won()
`),
    { root: true },
  ),
  script(
    'devices and kernel',
    'personality',
    'memory without randomised addresses',
    python(`if libc.personality(0x40000) >= 0: won()`),
  ),
  script(
    'devices and kernel',
    'compat',
    'the kernel’s interface for 32 bits',
    python(`
import mmap
memory = mmap.mmap(-1, 4096, prot=7); memory.write(bytes.fromhex('b814000000cd80c3'))
if ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))() == os.getpid(): won()
`),
  ),
];

const connect = (family: string, address: string, kind = 'SOCK_STREAM'): string =>
  python(`
client = socket.socket(socket.${family}, socket.${kind}); client.settimeout(2)
client.connect(${address})
client.send(b'hello'); print(client.recv(100).decode())
`);

const sockets: Attack[] = [
  script('sockets', 'tcp-loopback', 'a service on the host’s loopback', (stage) =>
    connect('AF_INET', `('127.0.0.1', ${stage.port})`),
  ),
  script('sockets', 'tcp-any', 'the same by 0.0.0.0', (stage) => connect('AF_INET', `('0.0.0.0', ${stage.port})`)),
  script('sockets', 'tcp-mapped', 'the same by an IPv6 address', (stage) =>
    connect('AF_INET6', `('::ffff:127.0.0.1', ${stage.port})`),
  ),
  script(
    'sockets',
    'tcp-bash',
    'the same by a shell',
    (stage) => `exec 3<> /dev/tcp/127.0.0.1/${stage.port} && cat <&3`,
  ),
  script('sockets', 'udp-loopback', 'a datagram to the host', (stage) =>
    connect('AF_INET', `('127.0.0.1', ${stage.udpPort})`, 'SOCK_DGRAM'),
  ),
  script('sockets', 'unix-path', 'a service on a Unix socket', (stage) => connect('AF_UNIX', `'${stage.socket}'`)),
  script('sockets', 'unix-abstract', 'a service on an abstract socket', (stage) =>
    connect('AF_UNIX', `'\\0${stage.abstract}'`),
  ),
  script(
    'sockets',
    'netlink-kobject',
    'events of the host’s devices',
    python(`socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15).bind((0, 1)); won()`),
  ),
  script(
    'sockets',
    'netlink-audit',
    'the kernel’s audit',
    python(`socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9); won()`),
  ),
  script(
    'sockets',
    'packet',
    'raw packets',
    python(`socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); won()`),
    { root: true },
  ),
  script('sockets', 'raw', 'raw IP', python(`socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); won()`), {
    root: true,
  }),
  script(
    'sockets',
    'interfaces',
    'the host’s network interfaces',
    `tail -n +3 /proc/net/dev | grep -qv '^ *lo:' && echo $W`,
  ),
  script(
    'sockets',
    'connections',
    'the host’s connections and services',
    (stage) => `grep -qi ':${stage.port.toString(16).padStart(4, '0')} ' /proc/net/tcp && echo $W`,
  ),
  script(
    'sockets',
    'unix-list',
    'the host’s Unix sockets',
    (stage) => `grep -q '${stage.abstract}' /proc/net/unix && echo $W`,
  ),
  {
    id: 'listen',
    category: 'sockets',
    goal: 'a service that others of the host or its network reach',
    control: (stage) => listen(stage, 'unsafe'),
    inside: (stage) => listen(stage, 'sandboxed'),
  },
];

let nextPort = 41_000 + (process.pid % 1_000);
async function listen(stage: Stage, how: 'unsafe' | 'sandboxed'): Promise<boolean> {
  const port = ++nextPort;
  const served = stage[how](
    python(`
server = socket.socket(); server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); server.settimeout(2)
server.bind(('127.0.0.1', ${port})); server.listen(); server.accept(); won()
`),
  );
  for (let i = 0; i < 15; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    await stage.plain(`exec 3<> /dev/tcp/127.0.0.1/${port}`);
  }
  return (await served).output.includes('PWNED');
}

const names: Attack[] = [
  script('DNS and names', 'dns-udp', 'to ask a name server, or tell it something', (stage) =>
    connect('AF_INET', `('127.0.0.1', ${stage.udpPort})`, 'SOCK_DGRAM'),
  ),
  script('DNS and names', 'dns-tcp', 'the same over TCP', (stage) =>
    connect('AF_INET', `('127.0.0.1', ${stage.port})`),
  ),
  script(
    'DNS and names',
    'resolv',
    'which name servers the host asks',
    `grep -q '^nameserver' /etc/resolv.conf && echo $W`,
  ),
  script('DNS and names', 'host-name-own', 'the host’s name', () => `[ "$(hostname)" = '${hostname()}' ] && echo $W`),
  script(
    'DNS and names',
    'host-name-proc',
    'the same from the kernel',
    () => `[ "$(cat /proc/sys/kernel/hostname)" = '${hostname()}' ] && echo $W`,
  ),
];

const clock: Attack[] = [
  script(
    'clock',
    'set-time',
    'to set the host’s clock',
    python(`
class timespec(ctypes.Structure): _fields_ = [('s', ctypes.c_long), ('n', ctypes.c_long)]
now = timespec(); libc.clock_gettime(0, ctypes.byref(now))
if libc.clock_settime(0, ctypes.byref(now)) == 0: won()
`),
    { root: true },
  ),
  script(
    'clock',
    'set-zone',
    'to set the kernel’s time zone',
    python(`
zone = (ctypes.c_int * 2)(0, 0)
if libc.syscall(164, None, ctypes.byref(zone)) == 0: won()
`),
    { root: true },
  ),
  script(
    'clock',
    'adjust',
    'to make the host’s clock run faster',
    python(`
state = ctypes.create_string_buffer(208)
libc.adjtimex(state); struct.pack_into('I', state, 0, 0x4000)
if libc.adjtimex(state) >= 0: won()
`),
    { root: true },
  ),
  script(
    'clock',
    'real-time',
    'a priority above all other processes',
    python(`os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)); won()`),
    { root: true },
  ),
  script('clock', 'nicer', 'a priority above the worker’s', python(`os.setpriority(os.PRIO_PROCESS, 0, -5); won()`), {
    root: true,
  }),
];

export const KERNEL: readonly Attack[] = [...signals, ...ptrace, ...mounts, ...devices, ...sockets, ...names, ...clock];
