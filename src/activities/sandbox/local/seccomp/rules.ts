/**
 * What no command in a sandbox may ask of the kernel, by system call. Sources: capabilities(7) and the default
 * profile of Docker (moby/profiles/seccomp); numbers from the kernel's asm/unistd_64.h and asm-generic/unistd.h.
 */

export const ERRNO = { EPERM: 1, ENOSYS: 38, EOPNOTSUPP: 95, EAFNOSUPPORT: 97 } as const;

/** Looks at the low 32 bits of one argument: the kernel takes these arguments as 32 bits, or has no flags above. */
export type RefusedCall = { errno: keyof typeof ERRNO } & (
  | { always: true }
  /** Refused when any of these bits is set. */
  | { arg: number; anyOf: number }
  /** Refused when the bits of `mask` (default all) have one of the values. */
  | { arg: number; mask?: number; oneOf: readonly number[] }
  /** Refused when it has none of the values. */
  | { arg: number; noneOf: readonly number[] }
  /** Refused when the one has this value and the other is none of those. */
  | { arg: number; is: number; other: number; noneOf: readonly number[] }
);

/** A number of null: this machine has no such call. */
export type Rule = { call: string; x64: number | null; arm64: number | null; refuse: readonly RefusedCall[] };

const EPERM: readonly RefusedCall[] = [{ errno: 'EPERM', always: true }];
const ENOSYS: readonly RefusedCall[] = [{ errno: 'ENOSYS', always: true }];

const refused = (
  refuse: readonly RefusedCall[],
  calls: Readonly<Record<string, [number | null, number | null]>>,
): Rule[] => Object.entries(calls).map(([call, [x64, arm64]]) => ({ call, x64, arm64, refuse }));

/** CLONE_NEWNS, -CGROUP, -UTS, -IPC, -USER, -PID, -NET. */
const NAMESPACES = 0x7e02_0000;
const CLONE_NEWTIME = 0x80;
const AF = { UNIX: 1, INET: 2, INET6: 10, NETLINK: 16 } as const;
const NETLINK_ROUTE = 0;
const FILE_TYPE = 0o170000;
const DEVICES = [0o020000, 0o060000];
/** PER_LINUX, PER_LINUX32, UNAME26, both, and the question what it is. */
const PERSONALITIES = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/** They put characters into a terminal's input. */
const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;

const SOCKETS: readonly RefusedCall[] = [
  { errno: 'EAFNOSUPPORT', arg: 0, noneOf: Object.values(AF) },
  // getifaddrs() asks the one; the others talk to parts of the kernel that no build or test needs.
  { errno: 'EAFNOSUPPORT', arg: 0, is: AF.NETLINK, other: 2, noneOf: [NETLINK_ROUTE] },
];

export const RULES: readonly Rule[] = [
  // Asked often, so looked at first.
  { call: 'ioctl', x64: 16, arm64: 29, refuse: [{ errno: 'EPERM', arg: 1, oneOf: [TIOCSTI, TIOCLINUX] }] },
  { call: 'clone', x64: 56, arm64: 220, refuse: [{ errno: 'EPERM', arg: 0, anyOf: NAMESPACES }] },
  { call: 'socket', x64: 41, arm64: 198, refuse: SOCKETS },
  { call: 'socketpair', x64: 53, arm64: 199, refuse: SOCKETS },
  // Its flags are in memory, where a filter cannot look. Every C library then takes clone.
  { call: 'clone3', x64: 435, arm64: 435, refuse: ENOSYS },
  { call: 'unshare', x64: 272, arm64: 97, refuse: [{ errno: 'EPERM', arg: 0, anyOf: NAMESPACES | CLONE_NEWTIME }] },
  { call: 'personality', x64: 135, arm64: 92, refuse: [{ errno: 'EPERM', arg: 0, noneOf: PERSONALITIES }] },
  { call: 'mknod', x64: 133, arm64: null, refuse: [{ errno: 'EPERM', arg: 1, mask: FILE_TYPE, oneOf: DEVICES }] },
  { call: 'mknodat', x64: 259, arm64: 33, refuse: [{ errno: 'EPERM', arg: 2, mask: FILE_TYPE, oneOf: DEVICES }] },
  // Other processes.
  ...refused(EPERM, {
    ptrace: [101, 117],
    process_vm_readv: [310, 270],
    process_vm_writev: [311, 271],
    process_madvise: [440, 440],
    kcmp: [312, 272],
    pidfd_getfd: [438, 438],
  }),
  // Mounts, namespaces, and the way around them by handle.
  ...refused(EPERM, {
    mount: [165, 40],
    umount2: [166, 39],
    pivot_root: [155, 41],
    chroot: [161, 51],
    open_tree: [428, 428],
    move_mount: [429, 429],
    fsopen: [430, 430],
    fsconfig: [431, 431],
    fsmount: [432, 432],
    fspick: [433, 433],
    mount_setattr: [442, 442],
    setns: [308, 268],
    open_by_handle_at: [304, 265],
    quotactl: [179, 60],
    quotactl_fd: [443, 443],
    fanotify_init: [300, 262],
    fanotify_mark: [301, 263],
  }),
  // Keys: keyrings are not of a namespace.
  ...refused(EPERM, { add_key: [248, 217], request_key: [249, 218], keyctl: [250, 219] }),
  // Large parts of the kernel, each with a record of holes, that no build or test needs.
  ...refused(EPERM, {
    bpf: [321, 280],
    perf_event_open: [298, 241],
    userfaultfd: [323, 282],
    lookup_dcookie: [212, 18],
    move_pages: [279, 239],
    migrate_pages: [256, 238],
  }),
  // libuv and others fall back when these are not there.
  ...refused(ENOSYS, {
    io_uring_setup: [425, 425],
    io_uring_enter: [426, 426],
    io_uring_register: [427, 427],
    memfd_secret: [447, 447],
  }),
  // The machine itself.
  ...refused(EPERM, {
    kexec_load: [246, 104],
    kexec_file_load: [320, 294],
    init_module: [175, 105],
    finit_module: [313, 273],
    delete_module: [176, 106],
    swapon: [167, 224],
    swapoff: [168, 225],
    reboot: [169, 142],
    acct: [163, 89],
    syslog: [103, 116],
    vhangup: [153, 58],
    iopl: [172, null],
    ioperm: [173, null],
    modify_ldt: [154, null],
    settimeofday: [164, 170],
    clock_settime: [227, 112],
    clock_adjtime: [305, 266],
    adjtimex: [159, 171],
    sethostname: [170, 161],
    setdomainname: [171, 162],
  }),
  // It takes a disk in no time; whoever asks writes zeros then, and can be stopped.
  { call: 'fallocate', x64: 285, arm64: 47, refuse: [{ errno: 'EOPNOTSUPP', always: true }] },
  // Left over from old kernels.
  ...refused(ENOSYS, {
    nfsservctl: [180, 42],
    uselib: [134, null],
    ustat: [136, null],
    sysfs: [139, null],
    _sysctl: [156, null],
    create_module: [174, null],
    get_kernel_syms: [177, null],
    query_module: [178, null],
  }),
];

/** removexattrat. What came later nobody has looked at; programs fall back from ENOSYS. x32 lies above too. */
export const LAST_KNOWN_CALL = 466;
