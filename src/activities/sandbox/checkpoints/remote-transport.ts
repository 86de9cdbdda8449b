/**
 * Code for a sandbox that is not on this host: git folders and a pack of a shallow history through the standard input
 * of a command. What the agent must not write is written as the checkpoint's commands are (`git: true`).
 */
import type { Mirror } from '../../git/contract.ts';
import type { SandboxProvider } from '../provider.ts';
import { CheckpointError, checkpointExec } from './checkpoint-git.ts';
import { formatConfig, gitFolderFiles, gitFolders } from './git-folder.ts';
import { packHistory, type Part } from './history.ts';
import type { CodeTransport } from './transport.ts';

const TIMEOUT_MS = 30 * 60_000;

/** $1 the mirror's folder, then pairs of path and size; their contents on standard input, then a pack. */
const FILL = `
set -e
umask 022
mirror=$1
shift
mkdir -p "$mirror/refs" "$GIT_DIR/refs/heads" "$GIT_DIR/refs/tags" "$GIT_DIR/objects/pack"
mkdir -p "$GIT_WORK_TREE/.git/refs/heads" "$GIT_WORK_TREE/.git/refs/tags" "$GIT_WORK_TREE/.git/objects/pack"
while [ $# -gt 0 ]; do
  mkdir -p -- "\${1%/*}"
  head -c "$2" > "$1"
  shift 2
done
exec git --git-dir="$mirror" index-pack --stdin > /dev/null
`;

/**
 * $1 the mirror's folder, $2 commits that have no parents here, a line each. The agent may have made anything of its
 * folder: what is there is replaced by renaming, never followed.
 */
const ADD = `
set -e
umask 022
git --git-dir="$1" index-pack --stdin > /dev/null
printf '%s\\n' "$2" >> "$GIT_DIR/shallow"
cd "$GIT_WORK_TREE"
[ -d .git ] && [ ! -L .git ] || exit 0
new=$(mktemp .git/shallow.XXXXXX) && cat "$GIT_DIR/shallow" > "$new" && mv -f "$new" .git/shallow || true
`;

export function createRemoteTransport(provider: SandboxProvider): CodeTransport {
  const mirrorAt = (id: string): string => provider.paths(id).objects.replace(/\/objects$/, '');

  async function run(id: string, what: string, script: string, args: string[], stdin: Buffer, signal?: AbortSignal) {
    const result = await checkpointExec(provider, id, script, args, {
      stdin,
      timeoutMs: TIMEOUT_MS,
      ...(signal === undefined ? {} : { signal }),
    });
    if (result.exitCode !== 0 || result.reason !== 'exit') throw new CheckpointError(id, what, result);
  }

  return {
    async prepare(mirror, id, { commit, others, exclude, signal }) {
      const { pack, shallow } = await part(mirror, { commits: [commit, ...others] }, signal);
      const paths = provider.paths(id);
      const { checkpoint, agent } = gitFolders({ objects: paths.objects, head: commit, exclude });
      const boundary = { shallow: shallow.map((each) => `${each}\n`).join('') };
      const files = [
        ...below(mirrorAt(id), {
          HEAD: 'ref: refs/heads/work\n',
          config: formatConfig(checkpoint.sha256),
          ...boundary,
        }),
        ...below(paths.git, { ...gitFolderFiles(checkpoint), ...boundary }),
        ...below(`${paths.workspace}/.git`, { ...gitFolderFiles(agent), ...boundary }),
      ];
      const args = [mirrorAt(id), ...files.flatMap(({ path, bytes }) => [path, String(bytes.length)])];
      const stdin = Buffer.concat([...files.map(({ bytes }) => bytes), pack]);
      await run(id, `bringing ${commit} in`, FILL, args, stdin, signal);
    },

    async provide(mirror, id, { commits, have, signal }) {
      const { pack, shallow } = await part(mirror, { commits, have }, signal);
      await run(id, `bringing ${commits.join(' and ')} in`, ADD, [mirrorAt(id), shallow.join('\n')], pack, signal);
    },
  };
}

const part = (mirror: Mirror, what: Parameters<typeof packHistory>[1], signal?: AbortSignal): Promise<Part> =>
  packHistory(mirror, { ...what, ...(signal === undefined ? {} : { signal }) });

const below = (folder: string, files: Record<string, string>) =>
  Object.entries(files).map(([path, text]) => ({ path: `${folder}/${path}`, bytes: Buffer.from(text) }));
