/** grep and find, inside the sandbox. */
import { asText, headLines } from './text.ts';
import { failedCommand, failed, insidePath, ok, type Tool } from './tool.ts';

/**
 * $1 pattern, $2 path, $3 glob. Over the work tree by git grep, which leaves ignored files out; where the agent's
 * `.git` is not usable, or outside of the work tree, by plain grep.
 */
const GREP = `
[ -e "$2" ] || { echo 'No such file or directory' >&2; exit 2; }
cd "$WORKSPACE" || exit 2
case $2 in
  "$WORKSPACE") rel=. ;;
  "$WORKSPACE"/*) rel=\${2#"$WORKSPACE"/} ;;
  *) rel= ;;
esac
if [ -n "$rel" ] && git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
  set -- "$1" "$rel" "$3"
  if [ -n "$3" ]; then
    case $3 in */*) glob=$3;; *) glob="**/$3";; esac
    if [ "$rel" = . ]; then spec=":(top,glob)$glob"; else spec=":(top,glob)$(printf %s "$rel" | sed 's/[][*?\\\\]/\\\\&/g')/$glob"; fi
    [ ! -f "$rel" ] || spec=":(top,literal)$rel"
  else
    spec=":(top,literal)$rel"
    [ "$rel" != . ] || spec=:/
  fi
  git -c core.quotePath=false grep --untracked -nIE --no-color --full-name -e "$1" -- "$spec"
  code=$?
  [ $code -gt 1 ] || exit $code
fi
exec grep -rnIE --exclude-dir=.git --exclude-dir=node_modules \${3:+--include="$3"} -e "$1" -- "\${rel:-$2}"
`;

export const grepWorkspace: Tool<'grep'> = {
  writes: false,
  async call({ pattern, path, glob = '' }, { paths, run, outputBytes }) {
    const result = await run(
      ['/bin/sh', '-c', GREP, 'sh', pattern, insidePath(path, paths).replace(/(?<=.)\/+$/, ''), glob],
      {
        headBytes: outputBytes * 2,
        maxBytes: 8 * 1024 * 1024,
        env: { WORKSPACE: paths.workspace, GIT_PAGER: 'cat' },
      },
    );
    if (result.reason === 'timeout') return failedCommand('grep', result);
    if (result.exitCode === 1 && result.bytes === 0) return ok('[No match.]');
    if (result.exitCode > 1 && result.bytes === 0) return failedCommand('grep', result);
    const { text, cut } = headLines(shortLines(asText(result.stdout)).replace(/\n$/, ''), outputBytes);
    return ok(cut || result.truncated ? `${text}\n[There are more matches; narrow the pattern, path or glob.]` : text);
  },
};

const shortLines = (text: string): string => text.replace(/^(.{500}).+$/gm, (_, start: string) => `${start}[…]`);

const FIND = `
[ -e "$1" ] || { echo 'No such file or directory' >&2; exit 2; }
cd "$1" 2>/dev/null || { echo 'it is not a folder' >&2; exit 2; }
exec find . -mindepth 1 \\( -name .git -o -name node_modules -o -name __pycache__ -o -name .venv \\) -prune -o ! -type d -print0
`;

export const find: Tool<'find'> = {
  writes: false,
  async call({ pattern, path }, { paths, run, outputBytes }) {
    const root = insidePath(path, paths);
    const result = await run(['/bin/sh', '-c', FIND, 'sh', root], {
      headBytes: 32 * 1024 * 1024,
      maxBytes: 32 * 1024 * 1024,
    });
    if (result.reason === 'exit' && result.exitCode !== 0 && result.bytes === 0)
      return failedCommand(path ?? '.', result);
    if (result.reason === 'timeout') return failed('find: it took too long; name a path below.');
    const matches = globMatcher(pattern);
    const prefix = path === undefined || path === '.' ? '' : `${path.replace(/\/+$/, '')}/`;
    const files = asText(Buffer.from(result.stdout.toString('latin1').replaceAll('\0', '\n'), 'latin1'))
      .split('\n')
      .map((file) => file.replace(/^\.\//, ''))
      .filter((file) => file !== '' && matches(file))
      .map((file) => prefix + file)
      .sort();
    if (files.length === 0) return ok('[No file matches.]');
    const { text, cut } = headLines(files.join('\n'), outputBytes);
    return ok(cut || result.truncated ? `${text}\n[There are more; narrow the pattern or path.]` : text);
  },
};

/** A glob without a slash is about names, one with a slash about paths below the folder. `**` crosses folders. */
export function globMatcher(pattern: string): (path: string) => boolean {
  const source = pattern
    .replace(/^\.?\//, '')
    .split(/(\*\*\/|\*\*|\*|\?)/)
    .map((part) => {
      if (part === '**/') return '(?:.*/)?';
      if (part === '**') return '.*';
      if (part === '*') return '[^/]*';
      return part === '?' ? '[^/]' : part.replace(/[\\^$.|+()[\]{}]/g, '\\$&');
    })
    .join('');
  const regex = new RegExp(`^${source}$`, 'su');
  return pattern.includes('/')
    ? (path) => regex.test(path)
    : (path) => regex.test(path.slice(path.lastIndexOf('/') + 1));
}
