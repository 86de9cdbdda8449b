/**
 * A seccomp filter as classic BPF, from the rules. Source: the kernel's Documentation/userspace-api/
 * seccomp_filter.rst, linux/seccomp.h, linux/filter.h. Pure.
 */
import { ERRNO, LAST_KNOWN_CALL, type RefusedCall, RULES, type Rule } from './rules.ts';

export type Machine = 'x64' | 'arm64';

/** struct sock_filter. Jumps count instructions to skip. */
type Instruction = { code: number; jt: number; jf: number; k: number };

/** AUDIT_ARCH_*, linux/audit.h. */
const AUDIT_ARCH: Readonly<Record<Machine, number>> = { x64: 0xc000_003e, arm64: 0xc000_00b7 };
const RET_KILL_PROCESS = 0x8000_0000;
const RET_ERRNO = 0x0005_0000;
const RET_ALLOW = 0x7fff_0000;

/** Offsets in struct seccomp_data: nr, arch, instruction pointer, six arguments of 64 bits (little-endian). */
const NR = 0;
const ARCH = 4;
const low = (arg: number): number => 16 + 8 * arg;

const LD_ABS = 0x20;
const ALU_AND = 0x54;
const JEQ = 0x15;
const JGT = 0x25;
const JSET = 0x45;
const RET = 0x06;

const load = (at: number): Instruction => ({ code: LD_ABS, jt: 0, jf: 0, k: at });
const ret = (k: number): Instruction => ({ code: RET, jt: 0, jf: 0, k });
const jump = (code: number, k: number, jt: number, jf: number): Instruction => ({ code, jt, jf, k });

/** The filter for this kind of machine, or null where there is none. It is read by `bwrap --seccomp`. */
export function seccompFilter(arch: string): Buffer | null {
  return arch === 'x64' || arch === 'arm64' ? serialize(compile(arch)) : null;
}

function compile(machine: Machine): Instruction[] {
  const rules = RULES.flatMap((rule) => {
    const number = rule[machine];
    return number === null ? [] : [{ ...rule, number }];
  });
  return [
    load(ARCH),
    // Programs of 32 bits have other numbers, which nothing here speaks of.
    jump(JEQ, AUDIT_ARCH[machine], 1, 0),
    ret(RET_KILL_PROCESS),
    load(NR),
    jump(JGT, LAST_KNOWN_CALL, 0, 1),
    ret(RET_ERRNO | ERRNO.ENOSYS),
    ...rules.flatMap((rule) => {
      const body = decide(rule);
      return [jump(JEQ, rule.number, 0, body.length), ...body];
    }),
    ret(RET_ALLOW),
  ];
}

/** Ends with a verdict on every way through. */
function decide({ refuse }: Rule): Instruction[] {
  const body = refuse.flatMap(refusal);
  return refuse.some((each) => 'always' in each) ? body : [...body, ret(RET_ALLOW)];
}

/** Returns the refusal, or falls through. */
function refusal(refuse: RefusedCall): Instruction[] {
  const no = ret(RET_ERRNO | ERRNO[refuse.errno]);
  if ('always' in refuse) return [no];
  if ('anyOf' in refuse) return [load(low(refuse.arg)), jump(JSET, refuse.anyOf, 0, 1), no];
  if ('oneOf' in refuse) {
    const { mask, oneOf } = refuse;
    const masked = mask === undefined ? [] : [{ code: ALU_AND, jt: 0, jf: 0, k: mask }];
    return [load(low(refuse.arg)), ...masked, ...oneOf.flatMap((value) => [jump(JEQ, value, 0, 1), no])];
  }
  const unless = (arg: number, allowed: readonly number[]): Instruction[] => [
    load(low(arg)),
    ...allowed.map((value, i) => jump(JEQ, value, allowed.length - i, 0)),
    no,
  ];
  if (!('is' in refuse)) return unless(refuse.arg, refuse.noneOf);
  const rest = unless(refuse.other, refuse.noneOf);
  return [load(low(refuse.arg)), jump(JEQ, refuse.is, 0, rest.length), ...rest];
}

function serialize(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8);
  for (const [i, { code, jt, jf, k }] of program.entries()) {
    if (jt > 255 || jf > 255) throw new Error(`instruction ${i} jumps too far for BPF`);
    bytes.writeUInt16LE(code, i * 8);
    bytes.writeUInt8(jt, i * 8 + 2);
    bytes.writeUInt8(jf, i * 8 + 3);
    bytes.writeUInt32LE(k >>> 0, i * 8 + 4);
  }
  return bytes;
}
