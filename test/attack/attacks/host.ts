/** Attacks on what the host has: the worker's environment, other processes, files; and the ways to them by links. */
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { type Attack, python, script } from '../attack.ts';
import type { Stage } from '../stage.ts';
import { call, type TestHost } from '../../activities/sandbox/support.ts';

const environment: Attack[] = [
  script('environment', 'env', 'the worker’s token from its environment', 'env', { control: 'plain' }),
  script('environment', 'env-self', 'the same from /proc/self/environ', "cat /proc/self/environ | tr '\\0' '\\n'", {
    control: 'plain',
  }),
  script('environment', 'env-node', 'the same from Node', `node -e 'console.log(process.env)'`, { control: 'plain' }),
  script('environment', 'env-login', 'the same through a login shell', 'bash -lc env', { control: 'plain' }),
  script('environment', 'env-declared', 'the same from variables that a shell marks as exported', 'declare -x', {
    control: 'plain',
  }),
  script(
    'environment',
    'env-parent',
    'the environment of the process that started the command',
    async (stage) => (
      await stage.victim(),
      `pid=$PPID; { while [ "$pid" -gt 1 ]; do cat /proc/$pid/environ; pid=$(cut -d' ' -f4 < /proc/$pid/stat); done; cat /proc/[0-9]*/environ; } 2>/dev/null | tr '\\0' '\\n' | grep -a ^SECRET= | head -3`
    ),
  ),
  script(
    'environment',
    'env-agent-socket',
    'the ssh agent that SSH_AUTH_SOCK names',
    python(`
client = socket.socket(socket.AF_UNIX)
client.connect(os.environ['SSH_AUTH_SOCK'])
print(client.recv(100).decode())
`),
    { control: 'plain' },
  ),
];

const ofVictim =
  (text: (pid: number, stage: Stage) => string) =>
  async (stage: Stage): Promise<string> =>
    text(await stage.victim(), stage);

const processes: Attack[] = [
  script(
    'processes of the host',
    'proc-environ',
    'the environment of another process',
    ofVictim((pid) => `tr '\\0' '\\n' < /proc/${pid}/environ`),
  ),
  script(
    'processes of the host',
    'proc-cmdline',
    'secrets on command lines',
    ofVictim(() => "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep canary | grep -v grep | head -3"),
  ),
  script(
    'processes of the host',
    'proc-root',
    'files through another process’s root',
    ofVictim((pid, { outside }) => `cat /proc/${pid}/root${outside}/secret`),
  ),
  script(
    'processes of the host',
    'proc-root-parent',
    'files through the root of the parent',
    (stage) => `cat /proc/$PPID/root${stage.outside}/secret`,
  ),
  script(
    'processes of the host',
    'proc-cwd',
    'files through another process’s folder',
    ofVictim((pid) => `cat /proc/${pid}/cwd/secret`),
  ),
  script(
    'processes of the host',
    'proc-fd',
    'a file that another process has open',
    ofVictim((pid) => `for f in /proc/${pid}/fd/*; do [ ! -f "$f" ] || cat "$f"; done`),
  ),
  script(
    'processes of the host',
    'proc-maps',
    'the memory layout of another process',
    ofVictim((pid) => `grep -q '\\[stack\\]' /proc/${pid}/maps && echo $W`),
  ),
  script(
    'processes of the host',
    'proc-mem',
    'the memory of another process',
    ofVictim((pid) =>
      python(`
for line in open('/proc/${pid}/maps'):
    if '[stack]' in line:
        start, end = (int(x, 16) for x in line.split()[0].split('-'))
        memory = open('/proc/${pid}/mem', 'rb', 0)
        memory.seek(start)
        if b'canary-' in memory.read(end - start): won()
`),
    ),
  ),
  script(
    'processes of the host',
    'proc-list',
    'which processes the host runs',
    ofVictim((pid) => `ls -d /proc/${pid} && echo $W`),
  ),
  script(
    'processes of the host',
    'proc-oom',
    'to have another process killed when memory is short',
    ofVictim((pid) => `echo 900 > /proc/${pid}/oom_score_adj && echo $W`),
  ),
  script(
    'processes of the host',
    'proc-dump',
    'what another process leaves when it crashes',
    ofVictim(
      (pid) =>
        `cat /proc/${pid}/coredump_filter > /tmp/filter.$$ && echo 0x$(cat /tmp/filter.$$) > /proc/${pid}/coredump_filter && echo $W; rm -f /tmp/filter.$$`,
    ),
  ),
];

/** The same file tool of the product, isolated and not. */
function tool(
  id: string,
  goal: string,
  prepare: (stage: Stage) => string,
  name: string,
  args: Record<string, string> | ((stage: Stage) => Record<string, string>),
): Attack {
  const attempt = async (stage: Stage, host: TestHost) => {
    const sandbox = await stage.sandboxOf(host);
    const before = readFileSync(join(stage.outside, 'secret'), 'utf8');
    const { results } = await host.act(sandbox, stage.nextTurn(), [
      call('bash', { command: `rm -rf leak leakdir; ${prepare(stage)}` }),
      call(name, typeof args === 'function' ? args(stage) : args),
    ]);
    const said = results[1]?.output ?? '';
    const after = readFileSync(join(stage.outside, 'secret'), 'utf8');
    writeFileSync(join(stage.outside, 'secret'), stage.canary);
    const planted = join(stage.outside, 'planted');
    const wrote = existsSync(planted);
    rmSync(planted, { force: true });
    return after !== before || wrote || said.includes(stage.canary) || (name === 'ls' && said.includes('secret'));
  };
  return {
    id,
    category: 'links',
    goal,
    control: (stage) => attempt(stage, stage.bare),
    inside: (stage) => attempt(stage, stage.isolated),
  };
}

const file = ({ outside }: Stage): string => `ln -s ${outside}/secret leak`;
const folder = ({ outside }: Stage): string => `ln -s ${outside} leakdir`;

const links: Attack[] = [
  tool('link-read', '`read` through a symbolic link', file, 'read', { path: 'leak' }),
  tool('link-read-folder', '`read` through a linked folder', folder, 'read', { path: 'leakdir/secret' }),
  tool(
    'link-read-chain',
    '`read` through a chain of links',
    (stage) => `ln -s leakdir/secret leak; ln -s ${stage.outside} leakdir`,
    'read',
    { path: 'leak' },
  ),
  tool(
    'link-read-relative',
    '`read` through a link of many ".."',
    ({ outside }) => `ln -s ${'../'.repeat(20)}${outside.slice(1)}/secret leak`,
    'read',
    { path: 'leak' },
  ),
  tool('link-write', '`write` through a symbolic link', file, 'write', { path: 'leak', content: 'overwritten' }),
  tool('link-write-new', '`write` of a new file through a linked folder', folder, 'write', {
    path: 'leakdir/planted',
    content: 'planted',
  }),
  tool('link-edit', '`edit` through a symbolic link', file, 'edit', {
    path: 'leak',
    oldText: 'canary',
    newText: 'cuckoo',
  }),
  tool(
    'absolute-grep',
    '`grep` by an absolute path',
    () => 'true',
    'grep',
    ({ outside }) => ({ pattern: 'canary', path: outside }),
  ),
  tool('link-ls', '`ls` of a linked folder', folder, 'ls', { path: 'leakdir/' }),
  tool(
    'link-proc',
    '`read` through /proc/self/root',
    ({ outside }) => `ln -s /proc/self/root${outside}/secret leak`,
    'read',
    { path: 'leak' },
  ),
  script(
    'links',
    'hard-link',
    'a hard link to a file outside',
    ({ outside }, mark) => `cp /dev/null hl; rm hl; ln ${outside}/secret hl && cat hl && echo > ${mark}`,
    {},
  ),
  {
    id: 'link-commit',
    category: 'links',
    goal: 'a link’s target in the commit instead of the link',
    async control(stage) {
      const dir = stage.scratch();
      symlinkSync(join(stage.outside, 'secret'), join(dir, 'leak'));
      stage.naiveGit(dir, 'init', '-q', '.');
      // A copy that follows links, as archives for an upload are often made.
      return (await stage.plain(`cp -rL ${dir} copy && cat copy/leak`)).output.includes(stage.canary);
    },
    async inside(stage) {
      const { isolated: host } = stage;
      const id = await host.open();
      await host.bash(id, file(stage));
      const { commit = '' } = await host.collect(id);
      return (
        !host.origin.git('ls-tree', commit, 'leak').startsWith('120000') ||
        host.origin.git('show', `${commit}:leak`).includes(stage.canary)
      );
    },
  },
  {
    id: 'link-git',
    category: 'links',
    goal: 'a `.git` that is a link out, for the host to write through',
    async control(stage) {
      const dir = stage.scratch();
      const target = join(stage.scratch(), 'repo');
      stage.naiveGit(dirname(target), 'init', '-q', '--bare', target);
      symlinkSync(target, join(dir, '.git'));
      writeFileSync(join(dir, 'a'), 'a');
      stage.naiveGit(dir, '--work-tree=.', 'add', '-A');
      return existsSync(join(target, 'index'));
    },
    async inside(stage) {
      const { isolated: host } = stage;
      const id = await host.open();
      const target = join(stage.scratch(), 'repo');
      mkdirSync(target);
      await host.bash(id, `rm -rf .git; ln -s ${target} .git; echo a > a`);
      await host.collect(id);
      return existsSync(join(target, 'index')) || existsSync(join(target, 'objects'));
    },
  },
  {
    id: 'link-delete',
    category: 'links',
    goal: 'a clean-up that deletes through a link',
    async control(stage) {
      const target = stage.scratch();
      const dir = stage.scratch();
      writeFileSync(join(target, 'precious'), '');
      symlinkSync(target, join(dir, 'link'));
      await stage.plain(`rm -rf ${dir}/*/`);
      await stage.plain(`find -L ${dir} -type f -delete`);
      return !existsSync(join(target, 'precious'));
    },
    async inside(stage) {
      const target = stage.scratch();
      writeFileSync(join(target, 'precious'), '');
      const { isolated: host } = stage;
      const id = await host.open();
      await host.bash(id, `ln -s ${target} link; ln -s ${target} /tmp/link; ln -s ${target} ~/link; chmod 000 src`);
      await host.provider.terminate(id);
      return !existsSync(join(target, 'precious')) || (await host.provider.has(id));
    },
  },
];

const files: Attack[] = [
  script('files of the host', 'read-outside', 'a file outside, by its path', ({ outside }) => `cat ${outside}/secret`),
  script('files of the host', 'write-outside', 'to write outside, by a path', (_, mark) => `echo x > ${mark}`),
  script(
    'files of the host',
    'delete-outside',
    'to delete outside',
    ({ outside }) => `touch ${outside}/prey 2>/dev/null; [ -e ${outside}/prey ] && rm ${outside}/prey && echo $W`,
  ),
  script(
    'files of the host',
    'list-outside',
    'to list a folder outside',
    ({ outside }) => `ls ${outside} | grep -q secret && echo $W`,
  ),
  script('files of the host', 'shadow', 'the host’s password hashes', 'grep -q "^root:" /etc/shadow && echo $W', {
    root: true,
  }),
  script(
    'files of the host',
    'users',
    'the host’s other users',
    'cut -d: -f1 /etc/passwd | grep -qx daemon && echo $W',
  ),
  script(
    'files of the host',
    'home',
    'the home of the worker’s user',
    () =>
      `ls -A ${process.env.HOME ?? '/root'} 2>/dev/null | grep -vxE '\.(pyenv|cargo|rustup|nvm|local|volta|asdf)' | grep -q . && echo $W`,
  ),
  script(
    'files of the host',
    'ssh-home',
    'keys and tokens in usual places',
    () =>
      `cat ${process.env.HOME ?? '/root'}/.bashrc ${process.env.HOME ?? '/root'}/.profile /root/.bashrc /etc/machine-id 2>/dev/null | grep -q . && echo $W`,
  ),
  script(
    'files of the host',
    'state',
    'the state folder: records, other sandboxes, mirrors',
    (stage) => `ls ${stage.bare.stateDir}/sandboxes && echo $W`,
  ),
  script(
    'files of the host',
    'system',
    'to change the system’s programs',
    `f=/usr/share/agentswarm-attack-$$; echo x > $f && rm $f && echo $W`,
    { root: true },
  ),
  script(
    'files of the host',
    'system-etc',
    'to change the host’s settings',
    `f=/etc/agentswarm-attack-$$; echo x > $f && rm $f && echo $W`,
    { root: true },
  ),
  script(
    'files of the host',
    'host-name-file',
    'what the machine is called',
    () => `grep -qx '${hostname()}' /etc/hostname && echo $W`,
  ),
  {
    id: 'neighbour',
    category: 'files of the host',
    goal: 'files of another sandbox',
    control: (stage) => neighbour(stage, stage.bare),
    inside: (stage) => neighbour(stage, stage.isolated),
  },
  {
    id: 'mirror-write',
    category: 'files of the host',
    goal: 'to change the objects that all sandboxes share',
    control: (stage) => mirror(stage, stage.bare),
    inside: (stage) => mirror(stage, stage.isolated),
  },
  {
    id: 'set-uid',
    category: 'files of the host',
    goal: 'a program with the worker’s rights for other users of the host',
    root: true,
    async control(stage) {
      const dir = stage.scratch();
      await stage.plain(`cp /usr/bin/id ${dir}/id && chmod 4755 ${dir}/id && chmod 755 ${dir} ${dirname(dir)}`);
      return (await stage.plain(`setpriv --reuid 65534 --regid 65534 --clear-groups sh -c ${dir}/id`)).output.includes(
        'euid=0',
      );
    },
    async inside(stage) {
      const { isolated: host } = stage;
      const id = await host.open();
      await host.bash(id, 'cp /usr/bin/id id && chmod 4755 id; chmod 777 .');
      const file = join(host.stateDir, 'sandboxes', id, 'workspace', 'id');
      await stage.plain(`chmod 755 ${host.folder} ${host.stateDir}`);
      return (await stage.plain(`setpriv --reuid 65534 --regid 65534 --clear-groups sh -c ${file}`)).output.includes(
        'euid=0',
      );
    },
  },
];

async function neighbour(stage: Stage, host: TestHost): Promise<boolean> {
  const other = await host.open();
  await host.bash(other, `echo ${stage.canary} > mine`);
  const id = await stage.sandboxOf(host);
  const { output } = await host.bash(
    id,
    `cat ../../${other}/workspace/mine ${host.stateDir}/sandboxes/${other}/workspace/mine`,
  );
  await host.provider.terminate(other);
  return output.includes(stage.canary);
}

async function mirror(stage: Stage, host: TestHost): Promise<boolean> {
  const id = await stage.sandboxOf(host);
  const { output } = await host.bash(
    id,
    'f=$(cat .git/objects/info/alternates)/pack/evil; echo x > "$f" && rm "$f" && echo won',
  );
  return output.trim().endsWith('won');
}

export const HOST: readonly Attack[] = [...environment, ...processes, ...files, ...links];
