/** How a sandbox on Modal is laid out inside, and who its users are. There is no mount namespace: rights keep apart. */
import type { SandboxPaths } from '../provider.ts';

const OURS = '/opt/agentswarm';

export const PATHS: SandboxPaths = {
  workspace: '/workspace',
  tmp: '/tmp',
  home: '/home/agent',
  output: `${OURS}/output`,
  objects: `${OURS}/mirror/objects`,
  git: `${OURS}/checkpoint`,
  setup: `${OURS}/setup`,
};

/** Where snapshots of what `setup` made are mounted. */
export const SETUP_PARTS = { workspace: `${OURS}/setup/workspace`, home: `${OURS}/setup/home` } as const;

/** One file for each command that runs, so that those of a worker that died are found; root's. */
export const REGISTRY = `${OURS}/commands`;

/** What counts as the sandbox's disk: all that the agent, or a checkpoint of its work, can write. */
export const COUNTED = [PATHS.workspace, PATHS.tmp, PATHS.home, PATHS.git, '/var/tmp'] as const;
/** The last count of it; root's. */
export const USAGE = `${OURS}/usage.json`;

/** Above what images give to users of their own. */
const AGENT_ID = 61_000;
const CHECKPOINT_ID = 61_001;

export type Identity = { uid: number; gid: number; groups: readonly number[] };

/** The agent's commands. */
export const AGENT: Identity = { uid: AGENT_ID, gid: AGENT_ID, groups: [] };
/** The agent's files, and besides these the checkpoint's git folder, which no command of the agent's can enter. */
export const CHECKPOINT: Identity = { uid: AGENT_ID, gid: CHECKPOINT_ID, groups: [AGENT_ID] };
export const ROOT: Identity = { uid: 0, gid: 0, groups: [] };

/** Run once as root in a fresh sandbox. Says on standard error what an image lacks. */
export const BOOTSTRAP = `
set -eu
umask 022
for program in bash git python3 setsid tar du; do
  command -v "$program" >/dev/null || { echo "its image has no $program" >&2; exit 3; }
done
version=$(git --version | sed 's/[^0-9]*\\([0-9]*\\)\\.\\([0-9]*\\).*/\\1 \\2/')
set -- $version
[ "$1" -gt 2 ] || [ "$1" -eq 2 -a "$2" -ge 38 ] || { echo "its git is $1.$2; 2.38 is needed" >&2; exit 3; }
grep -q '^agent:' /etc/passwd || echo 'agent:x:${AGENT_ID}:${AGENT_ID}:agent:${PATHS.home}:/bin/bash' >> /etc/passwd
grep -q '^agent:' /etc/group || echo 'agent:x:${AGENT_ID}:' >> /etc/group
mkdir -p ${PATHS.workspace} ${PATHS.home} ${PATHS.output} ${REGISTRY}
mkdir -p ${SETUP_PARTS.workspace} ${SETUP_PARTS.home}
mkdir -p ${PATHS.objects}/pack ${PATHS.objects}/info ${PATHS.objects}/../refs ${PATHS.git}
chmod 1777 ${PATHS.tmp}
chown ${AGENT_ID}:${AGENT_ID} ${PATHS.workspace} ${PATHS.home}
chmod 700 ${REGISTRY}
chown -R 0:${CHECKPOINT_ID} ${PATHS.git} ${OURS}/mirror
chmod 2770 ${PATHS.git}
find ${OURS}/mirror -type d -exec chmod 2775 {} +
`;
