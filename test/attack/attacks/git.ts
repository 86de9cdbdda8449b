/**
 * Attacks by what git runs or believes in a folder that an agent wrote. The control is a host that runs git there;
 * the product stores, collects and restores the same folder.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { thrownBy } from '../../support/thrown.ts';
import { chooseTarget } from '../../../src/activities/run/target.ts';
import { checkSpec } from '../../../src/activities/prompts/spec.ts';
import { createInspect } from '../../../src/activities/run/inspect.ts';
import { repositoryOf } from '../../../src/host/repository.ts';
import { resolveBase } from '../../../src/activities/git/refs.ts';
import { type Attack, script } from '../attack.ts';
import type { Stage } from '../stage.ts';
import { call } from '../../activities/sandbox/support.ts';
import { gitIn } from '../../support/repos.ts';

const COMMIT = [
  ['add', '-A'],
  ['commit', '-q', '-m', 'work'],
] as const;

/** @param prepare what the agent does, in its work tree; the mark shows that the host ran its command. */
function planted(
  category: Attack['category'],
  id: string,
  goal: string,
  prepare: (mark: string) => string,
  naive: readonly (readonly string[])[],
): Attack {
  return {
    id,
    category,
    goal,
    async control(stage) {
      const mark = stage.mark(id);
      const dir = stage.scratch();
      writeFileSync(join(dir, 'README.md'), '# test\n');
      for (const argv of [['init', '-q', '.'], ...COMMIT]) stage.naiveGit(dir, ...argv);
      await stage.plain(`cd ${dir} && { ${prepare(mark)}\n}`);
      stage.unmark(mark);
      for (const argv of naive) stage.naiveGit(dir, ...argv);
      const is = stage.isMarked(mark);
      stage.unmark(mark);
      return is;
    },
    async inside(stage) {
      const mark = stage.mark(id);
      const { isolated: host } = stage;
      const sandbox = await host.open();
      const { checkpoint } = await host.act(sandbox, stage.nextTurn(), [
        call('bash', { command: `${prepare(mark)}\necho changed > changed` }),
      ]);
      await host.collect(sandbox).catch(() => undefined);
      await host.provider.terminate(sandbox);
      // A restored sandbox has what was stored, and is asked again.
      const second = await host.open();
      await host.act(
        second,
        stage.nextTurn(),
        [call('bash', { command: 'git status; git add -A; git diff HEAD' })],
        checkpoint === undefined ? {} : { restore: checkpoint },
      );
      await host.provider.terminate(second);
      const is = stage.isMarked(mark);
      stage.unmark(mark);
      return is;
    },
  };
}

const set =
  (key: string, value: (mark: string) => string, more = 'true'): ((mark: string) => string) =>
  (mark) =>
    `git config ${key} '${value(mark)}'; ${more}; echo changed >> README.md`;
const touch = (mark: string): string => `touch ${mark}`;

const configuration: Attack[] = [
  planted(
    'git configuration',
    'fsmonitor',
    'core.fsmonitor',
    set('core.fsmonitor', (mark) => `touch ${mark}; false`),
    [['status']],
  ),
  planted(
    'git configuration',
    'hooks-path',
    'core.hooksPath',
    (mark) =>
      `mkdir h; printf '#!/bin/sh\\ntouch ${mark}\\n' > h/pre-commit; chmod +x h/pre-commit; git config core.hooksPath h; echo c > c`,
    COMMIT,
  ),
  planted('git configuration', 'diff-external', 'diff.external', set('diff.external', touch), [['diff']]),
  planted(
    'git configuration',
    'filter-clean',
    'a clean filter',
    set('filter.x.clean', (mark) => `touch ${mark}; cat`, 'echo "* filter=x" > .gitattributes'),
    [['add', '-A']],
  ),
  planted(
    'git configuration',
    'filter-smudge',
    'a smudge filter',
    set('filter.x.smudge', (mark) => `touch ${mark}; cat`, 'echo "* filter=x" > .gitattributes'),
    [['checkout', '-f', '.']],
  ),
  planted(
    'git configuration',
    'filter-process',
    'a filter process',
    set('filter.x.process', touch, 'echo "* filter=x" > .git/info/attributes'),
    [['add', '-A']],
  ),
  planted(
    'git configuration',
    'text-conv',
    'a text conversion',
    set('diff.x.textconv', (mark) => `touch ${mark}; cat`, 'echo "* diff=x" > .gitattributes'),
    [['diff']],
  ),
  planted('git configuration', 'editor', 'core.editor', set('core.editor', touch), [['add', '-A'], ['commit']]),
  planted(
    'git configuration',
    'gpg',
    'gpg.program of signed commits',
    (mark) =>
      `printf '#!/bin/sh\\ntouch ${mark}\\n' > /tmp/gpg-$$; cp /tmp/gpg-$$ gpg; chmod +x gpg; git config gpg.program "$PWD/gpg"; git config commit.gpgSign true; echo c > c`,
    COMMIT,
  ),
  planted(
    'git configuration',
    'ssh-command',
    'core.sshCommand',
    set('core.sshCommand', (mark) => `touch ${mark};`, 'git remote add evil ssh://host/x'),
    [['fetch', 'evil']],
  ),
  planted(
    'git configuration',
    'git-proxy',
    'core.gitProxy',
    (mark) =>
      `printf '#!/bin/sh\\ntouch ${mark}\\n' > proxy; chmod +x proxy; git config core.gitProxy "$PWD/proxy"; git remote add evil git://host/x`,
    [['fetch', 'evil']],
  ),
  planted(
    'git configuration',
    'upload-pack',
    'uploadpack of a remote',
    (mark) => `git remote add evil .; git config remote.evil.uploadpack 'touch ${mark};'`,
    [['fetch', 'evil']],
  ),
  planted(
    'git configuration',
    'receive-pack',
    'receivepack of a remote',
    (mark) => `git remote add evil .; git config remote.evil.receivepack 'touch ${mark};'`,
    [['push', 'evil', 'HEAD:refs/heads/x']],
  ),
  planted(
    'git configuration',
    'instead-of',
    'a rewritten URL that starts a program',
    (mark) =>
      `git config protocol.ext.allow always; git config url."ext::sh -c touch% ${mark}% ".insteadOf safe:; git remote add evil safe:x`,
    [['fetch', 'evil']],
  ),
  planted(
    'git configuration',
    'include',
    'an included file of the work tree',
    (mark) =>
      `printf '[core]\\n\\tfsmonitor = "touch ${mark}; false"\\n' > innocent.txt; git config include.path ../innocent.txt`,
    [['status']],
  ),
  planted(
    'git configuration',
    'include-if',
    'one that is included on a condition',
    (mark) =>
      `printf '[core]\\n\\tfsmonitor = "touch ${mark}; false"\\n' > innocent.txt; git config includeIf.gitdir:/.path "$PWD/innocent.txt"`,
    [['status']],
  ),
  planted(
    'git configuration',
    'alias',
    'an alias of a usual command',
    set('alias.st', (mark) => `!touch ${mark}`),
    [['st']],
  ),
  planted(
    'git configuration',
    'merge-driver',
    'a merge driver',
    (mark) =>
      `git config merge.x.driver 'touch ${mark}; exit 1'; echo 'README.md merge=x' > .git/info/attributes; git checkout -q -b other && echo a > README.md && git -c user.name=a -c user.email=a@b commit -qam a && git checkout -q - && echo b > README.md && git -c user.name=a -c user.email=a@b commit -qam b`,
    [['merge', 'other']],
  ),
  planted(
    'git configuration',
    'git-file',
    'a `.git` file that leads to another folder',
    (mark) =>
      `cp -r .git /tmp/evil-$$; mv .git kept; cp -r kept evil; git -C evil config core.bare false; git --git-dir=evil config core.fsmonitor 'touch ${mark}; false'; echo "gitdir: evil" > .git`,
    [['status']],
  ),
  planted(
    'git configuration',
    'worktree-config',
    'configuration of one work tree',
    (mark) => `git config extensions.worktreeConfig true; git config --worktree core.fsmonitor 'touch ${mark}; false'`,
    [['status']],
  ),
];

const hook = (name: string, naive: readonly (readonly string[])[], more = 'echo c > c'): Attack =>
  planted(
    'git hooks',
    `hook-${name}`,
    name,
    (mark) =>
      `mkdir -p .git/hooks; printf '#!/bin/sh\\ntouch ${mark}\\n' > .git/hooks/${name}; chmod +x .git/hooks/${name}; ${more}`,
    naive,
  );

const hooks: Attack[] = [
  hook('pre-commit', COMMIT),
  hook('prepare-commit-msg', COMMIT),
  hook('commit-msg', COMMIT),
  hook('post-commit', COMMIT),
  hook('post-index-change', [['add', '-A']]),
  hook('reference-transaction', [['update-ref', 'refs/heads/x', 'HEAD']]),
  hook('post-checkout', [['checkout', '-q', '-b', 'y']]),
  hook('pre-push', [['push', '.', 'HEAD:refs/heads/z']]),
  hook(
    'post-merge',
    [['merge', 'other']],
    'git checkout -q -b other && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m o && git checkout -q -',
  ),
  hook('pre-receive', [['push', '.', 'HEAD:refs/heads/z']]),
  hook('update', [['push', '.', 'HEAD:refs/heads/z']]),
];

const nested: Attack[] = [
  planted(
    'submodules and nested repositories',
    'submodule-update',
    'a submodule that is updated by a command',
    (mark) =>
      `git init -q s; git -C s -c user.name=a -c user.email=a@b commit -q --allow-empty -m s; git config -f .gitmodules submodule.s.path s; git config -f .gitmodules submodule.s.url ./s; git add -A 2>/dev/null; git -c user.name=a -c user.email=a@b commit -qm s; git config submodule.s.url ./s; git config submodule.s.active true; git config submodule.s.update '!touch ${mark};'; rm -rf .git/modules; git -C s -c user.name=a -c user.email=a@b commit -q --allow-empty -m t`,
    [['submodule', 'update']],
  ),
  planted(
    'submodules and nested repositories',
    'submodule-hook',
    'a hook of a submodule',
    (mark) =>
      `git init -q s; git -C s -c user.name=a -c user.email=a@b commit -q --allow-empty -m s; git config -f .gitmodules submodule.s.path s; git config -f .gitmodules submodule.s.url ./s; git add -A 2>/dev/null; git -C s config core.fsmonitor 'touch ${mark}; false'; echo x > s/x`,
    [['status']],
  ),
  planted(
    'submodules and nested repositories',
    'nested',
    'a repository in the tree, with configuration of its own',
    (mark) =>
      `git init -q n; echo a > n/a; git -C n config core.fsmonitor 'touch ${mark}; false'; git -C n -c user.name=a -c user.email=a@b commit -q --allow-empty -m n; git add n 2>/dev/null; echo b > n/b`,
    [['status'], ['add', '-A']],
  ),
  planted(
    'submodules and nested repositories',
    'nested-bare',
    'a bare repository in the tree',
    (mark) =>
      `git init -q --bare b; git -C b config core.fsmonitor 'touch ${mark}; false'; git -C b config core.bare false; git -C b config core.worktree "$PWD/b"; git -C b config alias.x '!touch ${mark}'`,
    [
      ['-C', 'b', 'status'],
      ['-C', 'b', 'x'],
    ],
  ),
];

/** A value of a person or a model. The control hands it to git as programs are often written. */
function value(
  id: string,
  goal: string,
  text: (mark: string, stage: Stage) => string,
  naive: (value: string, stage: Stage) => Promise<unknown> | void,
  product: (value: string, stage: Stage) => Promise<string>,
): Attack {
  const attempt = async (stage: Stage, body: (value: string) => Promise<unknown> | void) => {
    const mark = stage.mark(id);
    const said = await body(text(mark, stage));
    const is = stage.isMarked(mark) || (typeof said === 'string' && said.includes(stage.canary));
    stage.unmark(mark);
    return is;
  };
  return {
    id,
    category: 'URLs, refs and options',
    goal,
    control: (stage) => attempt(stage, (given) => naive(given, stage)),
    inside: (stage) => attempt(stage, (given) => product(given, stage)),
  };
}

/** A refusal's words. Any other failure of the product is the attack's own failure, and says so. */
const refusal = async (promise: Promise<unknown>): Promise<string> => (await thrownBy(promise)).message;

const asLocation = (given: string): Promise<string> => refusal(repositoryOf(given));
const asBranch = async (given: string, { isolated: host }: Stage): Promise<string> => {
  const location = { repo: host.run.repo, kind: 'bare' as const, checkedOut: [] };
  return refusal(Promise.resolve().then(() => chooseTarget({ location, runId: 'run-1', branch: given })));
};
const asBase = async (given: string, { isolated: host }: Stage): Promise<string> =>
  refusal(resolveBase(await host.mirrors.open(host.run.repo), given));
const asSpec = async (given: string, { isolated: host }: Stage): Promise<string> =>
  refusal(checkSpec(await host.mirrors.open(host.run.repo), host.origin.tip(), given));
const asTool =
  (name: string, argument: string) =>
  async (given: string, { isolated: host }: Stage): Promise<string> => {
    const inspect = createInspect({ mirrors: host.mirrors, log: host.log });
    const calls = [
      call(name, { ...(name === 'grep' || name === 'find' ? { pattern: 'README' } : {}), [argument]: given }),
    ];
    const { results } = await inspect({ run: host.run, commit: host.origin.tip(), calls });
    return results[0]?.output ?? '';
  };
const git =
  (...argv: string[]) =>
  (given: string, stage: Stage): void => {
    const dir = stage.scratch();
    for (const each of [
      ['init', '-q', '.'],
      ['commit', '-q', '--allow-empty', '-m', 'one'],
    ])
      stage.naiveGit(dir, ...each);
    writeFileSync(join(dir, 'README.md'), 'README\n');
    stage.naiveGit(dir, 'add', '-A');
    stage.naiveGit(dir, 'commit', '-q', '-m', 'two');
    stage.naiveGit(dir, ...argv.map((arg) => arg.replace('{}', () => given)));
  };
const ssh = async (given: string, stage: Stage): Promise<void> => {
  const host = /^ssh:\/\/([^/]*)/.exec(given)?.[1] ?? /@([^:]*)/.exec(given)?.[1] ?? given;
  await stage.plain(`timeout 5 ssh '${decodeURIComponent(host).replaceAll("'", "'\\''")}' true x`);
};

const values: Attack[] = [
  value(
    'ext',
    'a program by the transport `ext::`',
    (mark) => `ext::sh -c touch% ${mark}`,
    git('-c', 'protocol.ext.allow=always', 'ls-remote', '{}'),
    asLocation,
  ),
  value(
    'ext-case',
    'the same with a scheme in front',
    (mark) => `ext::sh -c touch% ${mark}% `,
    git('-c', 'protocol.allow=always', 'fetch', '{}'),
    asLocation,
  ),
  value(
    'location-option',
    'an option as repository',
    (mark) => `--upload-pack=touch ${mark};`,
    git('ls-remote', '{}', '.'),
    asLocation,
  ),
  value(
    'location-short-option',
    'a short option as repository',
    (mark) => `-utouch ${mark};`,
    (given, stage) => stage.plain(`git init -q o; git -C o clone '${given}' . x`),
    asLocation,
  ),
  value(
    'ssh-option',
    'an option as host of an ssh URL',
    (mark) => `ssh://-oProxyCommand=touch%20${encodeURIComponent(mark)}/x`,
    ssh,
    asLocation,
  ),
  value(
    'scp-option',
    'an option as host of host:path',
    (mark) => `git@-oProxyCommand=touch ${mark}:x`,
    ssh,
    asLocation,
  ),
  value(
    'shell',
    'a shell command in a repository',
    (mark) => `.; touch ${mark}`,
    (given, stage) => stage.plain(`git ls-remote ${given}`),
    asLocation,
  ),
  value(
    'shell-substitution',
    'a substitution in a repository',
    (mark) => `$(touch ${mark})`,
    (given, stage) => stage.plain(`git ls-remote "${given}"`),
    asLocation,
  ),
  value(
    'file-host',
    'a file of another host',
    (mark) => `file://../..${mark}`,
    (given, stage) => stage.plain(`touch ${given.slice('file://../..'.length)}`),
    asLocation,
  ),
  value(
    'newline',
    'a second line for the credential protocol',
    (mark) => `https://good.example/x%0ahost=${mark}\nhost=evil`,
    (given, stage) =>
      stage.plain(
        `printf 'url=%s\\n\\n' "${given}" | grep -q '^host=evil' && touch ${/host=(\/\S+)/.exec(given)?.[1] ?? ''}`,
      ),
    asLocation,
  ),
  value(
    'branch-option',
    'an option as branch',
    (mark) => `--upload-pack=touch ${mark};`,
    git('fetch', '.', '{}'),
    asBranch,
  ),
  value(
    'branch-refspec',
    'a branch that is a refspec',
    () => 'HEAD:refs/heads/evil',
    (given, stage) => {
      const dir = stage.scratch();
      stage.naiveGit(dir, 'init', '-q', '.');
      stage.naiveGit(dir, 'commit', '-q', '--allow-empty', '-m', 'one');
      stage.naiveGit(dir, 'push', '.', given);
      return Promise.resolve(existsSync(join(dir, '.git/refs/heads/evil')) ? stage.canary : '');
    },
    asBranch,
  ),
  value(
    'branch-dots',
    'a branch that leaves its folder',
    (mark) => `../../..${mark}`,
    (given, stage) =>
      stage.plain(
        `d=$PWD/r/refs/heads; mkdir -p $d; f=$(realpath -m $d/../../../../../../../../../..${given.replace('../../..', '')}); touch $f`,
      ),
    asBranch,
  ),
  value('base-option', 'an option as base', (mark) => `--output=${mark}`, git('log', '{}'), asBase),
  value(
    'base-expression',
    'a base that is an expression of git',
    () => 'HEAD:README.md',
    (given, stage) => {
      const dir = stage.scratch();
      stage.naiveGit(dir, 'init', '-q', '.');
      writeFileSync(join(dir, 'README.md'), stage.canary);
      stage.naiveGit(dir, 'add', '-A');
      stage.naiveGit(dir, 'commit', '-q', '-m', 'one');
      return Promise.resolve(gitIn(dir, ['show', given]));
    },
    asBase,
  ),
  value(
    'spec-path',
    'a spec outside of the repository',
    (_, stage) => `../../../../../../../../..${stage.outside}/secret`,
    (given, stage) => stage.plain(`cat '${given.replace(/^(\.\.\/)+\.\./, '/../..')}'`).then(({ output }) => output),
    asSpec,
  ),
  value('spec-option', 'an option as spec', (mark) => `--output=${mark}`, git('diff', '{}'), asSpec),
  value(
    'grep-pager',
    'a program as option of `grep`',
    (mark) => `--open-files-in-pager=touch ${mark};`,
    git('grep', '{}', 'README'),
    asTool('grep', 'pattern'),
  ),
  value(
    'grep-path',
    'an option as path of `grep`',
    (mark) => `-Otouch ${mark};`,
    git('grep', '{}', '-e', 'README'),
    asTool('grep', 'path'),
  ),
  value(
    'grep-file',
    'patterns from a file of the host',
    (_, stage) => `-f${stage.outside}/secret`,
    (given, stage) =>
      stage
        .plain(`cp ${stage.outside}/secret . && git init -q . && git add . && git grep '${given}'`)
        .then(({ output }) => output),
    asTool('grep', 'pattern'),
  ),
  value(
    'read-path',
    'a file of the host by `read`',
    (_, stage) => `${'../'.repeat(15)}${stage.outside}/secret`,
    (given, stage) => stage.plain(`cat '${given}'`).then(({ output }) => output),
    asTool('read', 'path'),
  ),
  value(
    'read-absolute',
    'the same by an absolute path',
    (_, stage) => `${stage.outside}/secret`,
    (given, stage) => stage.plain(`cat '${given}'`).then(({ output }) => output),
    asTool('read', 'path'),
  ),
  value(
    'log-path',
    'an option as path of `log`',
    (mark) => `--output=${mark}`,
    git('log', '{}'),
    asTool('log', 'path'),
  ),
  value(
    'ls-path',
    'a folder of the host by `ls`',
    (_, stage) => stage.outside,
    (given, stage) => stage.plain(`cat ${given}/*`).then(({ output }) => output),
    asTool('ls', 'path'),
  ),
  value(
    'find-path',
    'the same by `find`',
    (_, stage) => `..${stage.outside}`,
    (given, stage) => stage.plain(`find ${given.slice(2)} -type f -exec cat {} +`).then(({ output }) => output),
    asTool('find', 'path'),
  ),
  value(
    'nul',
    'what follows a NUL',
    (mark) => `safe\u0000; touch ${mark}`,
    (given, stage) => stage.plain(given.replace('\u0000', '')),
    asBranch,
  ),
];

const rules: Attack[] = [
  {
    id: 'rules',
    category: 'URLs, refs and options',
    goal: 'to change the run’s own rules from within a task',
    async control(stage) {
      const dir = stage.scratch();
      mkdirSync(join(dir, 'x'));
      writeFileSync(join(dir, 'agentswarm.json'), '{"setup":{"command":"evil"}}');
      return readFileSync(join(dir, 'agentswarm.json'), 'utf8').includes('evil');
    },
    async inside(stage) {
      const { isolated: host } = stage;
      const id = await host.open();
      await host.bash(id, `echo '{"setup":{"command":"evil"}}' > agentswarm.json`);
      const { base = host.origin.tip() } = await host.collect(id);
      return host.origin.git('ls-tree', base).includes('agentswarm.json');
    },
  },
  {
    id: 'trailers',
    category: 'URLs, refs and options',
    goal: 'to pass for another task by trailers of its own',
    async control(stage) {
      const dir = stage.scratch();
      stage.naiveGit(dir, 'init', '-q', '.');
      stage.naiveGit(dir, 'commit', '-q', '--allow-empty', '-m', 'work\n\nSwarm-Change: somebody-else');
      return gitIn(dir, ['log', '-1', '--format=%(trailers:key=Swarm-Change,valueonly)']).includes('somebody-else');
    },
    async inside(stage) {
      const { isolated: host } = stage;
      const id = await host.open();
      await host.bash(id, 'echo x > x');
      const { commit = '' } = await host.collect(id, {
        subject: 'Swarm-Change: somebody-else',
        body: 'x\n\nSwarm-Change: somebody-else\nSwarm\u200b-Change: somebody-else',
      });
      return host.origin
        .git('log', '-1', '--format=%(trailers:key=Swarm-Change,valueonly)', commit)
        .includes('somebody-else');
    },
  },
];

/** Kept apart: what a script alone decides. */
const inTree: Attack[] = [
  script(
    'git configuration',
    'global',
    'the git configuration of the worker’s user',
    (_, mark) =>
      `h=${process.env.HOME ?? '/root'}; [ "$h" != /home/agent ] && touch "$h/.agentswarm-attack" && rm "$h/.agentswarm-attack" && touch ${mark}`,
  ),
];

export const GIT: readonly Attack[] = [...configuration, ...inTree, ...hooks, ...nested, ...values, ...rules];
