/** What a kept shell is told on its standard input; see shells.ts for the whole exchange. */
import type { ShellCommand, ShellSpec } from './shells.ts';

export const BEGUN = 'begun';
/**
 * A shell that is not among the first of a pid namespace is in none of its own: what CLEAN kills there would be the
 * host's. Standard error is on 6 meanwhile: the shell's own words ("Killed") are nobody's.
 */
export const OPENING = '[ $$ -lt 10 ] || exit 1; exec 6>&2 2>/dev/null\n';
/** What the shell's namespaces would keep: processes; files in memory. */
const CLEAN = `n=0; while kill -9 -1; do n=$((n+1)); [ $n -lt 2000 ] || { n=0; /bin/sleep 0.01; }; done
for f in /dev/shm/* /dev/shm/.[!.]* /dev/shm/..?*; do [ ! -e "$f" ] && [ ! -L "$f" ] || { /bin/rm -rf -- /dev/shm/* /dev/shm/.[!.]* /dev/shm/..?*; break; }; done`;

/** One command, and what the shell says and does before and after it. */
export function scriptOf(
  { own }: Pick<ShellSpec, 'own'>,
  argv: readonly string[],
  command: Pick<ShellCommand, 'cwd' | 'env' | 'combine' | 'stdin'>,
  mark: Buffer,
): Buffer {
  const { stdin, combine } = command;
  const run = `${running(argv, command)}${stdin === undefined ? ' </dev/null' : ''}`;
  const after = `; s=$?\n${own ? '' : CLEAN}\n${combine ? '' : `printf ${mark} >&6; `}printf ${mark}; echo $s >&4\n`;
  if (stdin === undefined) return Buffer.from(`echo ${BEGUN} >&4\n${run}${after}`);
  // Bytes that are no text pass as they are.
  const input = Buffer.from(quoted(Buffer.from(stdin).toString('latin1')), 'latin1');
  return Buffer.concat([Buffer.from(`echo ${BEGUN} >&4\nprintf %s `), input, Buffer.from(` | ${run}${after}`)]);
}

/** In a fork of the shell. A script for /bin/sh is the host's own, whoever's the data: it needs no other program. */
function running(
  argv: readonly string[],
  { cwd, env, combine }: Pick<ShellCommand, 'cwd' | 'env' | 'combine'>,
): string {
  const [program = '', flag, script = '', name = '', ...args] = argv;
  const before = [
    ...Object.entries(env).map(([key, value]) => `export ${key}=${quoted(value)};`),
    ...(cwd === undefined ? [] : [`cd ${quoted(cwd)} &&`]),
  ];
  const body =
    program === '/bin/sh' && flag === '-c' && name === 'sh'
      ? `set -- ${args.map(quoted).join(' ')}; eval ${quoted(script)}`
      : `exec ${argv.map(quoted).join(' ')}`;
  return `(${before.join(' ')} ${body}) ${combine ? '2>&1' : '2>&6'} 3<&- 4>&- 6>&-`;
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
