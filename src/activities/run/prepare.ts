/** The first activity of a run: everything that a person can have got wrong is found here, before a model is asked. */
import type { Config } from '../../shared/config/worker-config.ts';
import type { RunActivities } from '../../shared/contracts/activities.ts';
import { repositoryOf } from '../../host/repository.ts';
import type { RunContext } from '../../shared/contracts/run.ts';
import { type CommitSha, runRefPrefix } from '../../shared/base/ids.ts';
import { keepGate } from '../../shared/merge-queue/gate-terms.ts';
import { completeSetup, detectSetup, registriesToFind, setupNote } from '../../shared/sandbox/detect-setup.ts';
import { layerRunSettings, RunSettings, type RunSettingsInput } from '../../shared/contracts/run-settings.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import type { GitHub } from '../deliver/github.ts';
import type { Mirror, Mirrors } from '../git/contract.ts';
import { createBranch, resolveBase } from '../git/refs.ts';
import type { Log } from '../support/log.ts';
import { onRemote } from '../git/remote-failures.ts';
import type { RegistryFinder } from '../sandbox/network/registry-finder.ts';
import { readRepositorySettings } from './repository-settings.ts';
import { readRootFiles } from './root-files.ts';
import { checkSpec } from '../prompts/spec.ts';
import { chooseTarget, landingNote } from './target.ts';

/**
 * @returns `prepareRun` of RunActivities. Another attempt finds what the first one made and goes on from there.
 * Terminal failures are the person's to mend; those of the network are retryable.
 */
export function createPrepareRun(deps: {
  mirrors: Mirrors;
  config: Pick<Config, 'run'>;
  sandboxUnsafe: boolean;
  github: Pick<GitHub, 'check'>;
  /** Asked only where `setup` is detected and nobody has said what it may reach. */
  finder: RegistryFinder;
  log: Log;
}): RunActivities['prepareRun'] {
  const { mirrors, config, sandboxUnsafe, github, finder, log } = deps;
  return async ({ input, root }) => {
    const location = await repositoryOf(input.repo);
    const { repo } = location;
    const remote = <T>(tried: string, work: () => Promise<T>): Promise<T> => onRemote(repo.location, tried, work);
    const mirror = await remote('read the branches', () => mirrors.open(repo));
    const { commit: base, branch: into } = await remote(`read ${input.base ?? 'the default branch'}`, () =>
      resolveBase(mirror, input.base),
    );
    if (input.spec !== undefined) await checkSpec(mirror, base, input.spec);
    const repositorySettings = await readRepositorySettings(mirror, base);
    const asked = keepGate(input.settings, repositorySettings);
    const layers = [asked.settings, repositorySettings, config.run];
    const { settings, note: setupSaid } = await resolveSettings({ mirror, base, layers, finder });
    const pullRequest = settings.deliver === 'pull-request' ? { into: baseBranch(into, input.base) } : undefined;
    if (pullRequest !== undefined) await github.check(repo.location);
    const choice = chooseTarget({ location, runId: root.workflowId, branch: input.branch, into: pullRequest?.into });
    const { target } = choice;
    await remote('create and delete a ref', () => showPushRights(mirror, root.workflowId, base));
    const { created, tip } = await remote(`create the branch ${target}`, () => createBranch(mirror, target, base));
    const notes = [...choice.notes];
    if (!created && tip !== base) notes.push(await existingNote(mirror, target, base));
    if (setupSaid !== undefined) notes.push(setupSaid);
    if (asked.note !== undefined) notes.push(asked.note);
    const landing = landingNote(location, target);
    if (landing !== undefined) notes.push(landing);
    const context: RunContext = { root, repo, base, target, settings, ...(pullRequest && { pullRequest }) };
    log.info({ run: root.workflowId, repository: repo.key, base, target, created }, 'the run is prepared');
    return { context, notes, unsafe: sandboxUnsafe };
  };
}

/** What a pull request is against. */
function baseBranch(branch: string | null, base: string | undefined): string {
  if (branch !== null) return branch;
  throw terminal(
    FailureType.BadInput,
    `deliver "pull-request" wants a branch to propose to, and the base (${base ?? 'the HEAD of the remote'}) is none`,
    'Name a branch as the base, or deliver to a branch ("deliver": "branch").',
  );
}

async function resolveSettings(of: {
  mirror: Mirror;
  base: CommitSha;
  layers: readonly (RunSettingsInput | undefined)[];
  finder: RegistryFinder;
}): Promise<{ settings: RunSettings; note: string | undefined }> {
  const { mirror, base, layers, finder } = of;
  const layered = layerRunSettings(...layers);
  const written = layers.some((layer) => layer?.setup !== undefined) ? layered.setup : undefined;
  const given = written === null || written?.command !== undefined;
  const detected = given ? null : detectSetup(await readRootFiles(mirror, base));
  const found = await finder.find(registriesToFind(layered.setup, detected));
  const setup = completeSetup(layered.setup, detected, found);
  return { settings: RunSettings.parse({ ...layered, setup }), note: setupNote(written, detected, setup, found) };
}

/** Only creating and deleting a ref shows the right to: a dry run does not reach the rules of a host. */
async function showPushRights(mirror: Mirror, runId: string, base: CommitSha): Promise<void> {
  const probe = `${runRefPrefix(runId)}probe`;
  await mirror.pushWork(base, probe);
  await mirror.deleteRemoteRefs([probe]);
}

async function existingNote(mirror: Mirror, target: string, base: CommitSha): Promise<string> {
  const tip = await onRemote(mirror.repo.location, `read the branch ${target}`, () => mirror.fetchBranch(target));
  const { stdout } = await mirror.git(['rev-list', '--left-right', '--count', `${base}...${tip}`]);
  const [behind = '0', ahead = '0'] = stdout.toString().trim().split('\t');
  const lead = behind === '0' ? '' : ` and ${behind} behind`;
  return `The branch ${target} is there already, ${ahead} commits ahead of the base ${base.slice(0, 10)}${lead}: work lands on top of it.`;
}
