/** Pull requests on GitHub and GitHub Enterprise. Temporal retries the activities, so no failed call is repeated here. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Octokit } from '@octokit/rest';
import type { Config } from '../../shared/config/worker-config.ts';
import type { Delivery } from '../../shared/contracts/deliver.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import type { Log } from '../support/log.ts';
import { pullRequestBody } from './body.ts';
import { type ApiError, apiError, deliveryFailure } from './failures.ts';
import { type HostedRepository, repositoryOn } from './repository.ts';

export type Proposal = {
  /** The repository, as git takes it: a URL, or `host:path`. */
  location: string;
  /** The branch with the work, and the one that it is proposed to; both on the remote. */
  head: string;
  into: string;
  /** The head's commit. */
  tip: string;
  title: string;
  /** Markdown. */
  report: string;
};

export interface GitHub {
  /**
   * Checks before a run starts that pull requests can be opened.
   * @throws terminal BadInput with what a person has to mend; a retryable failure when GitHub is not reached.
   */
  check(location: string, signal?: AbortSignal): Promise<void>;
  /** Opens a pull request, or updates the one that is open for this head. A second call with the same proposal changes nothing. */
  propose(proposal: Proposal, signal?: AbortSignal): Promise<Delivery>;
}

const CALL_MS = 60_000;
/** GitHub's list of pull requests may lag behind one that was opened a moment ago. */
const LAG_MS = 1_000;
/** How often the list is read before a pull request that exists but is not listed becomes an error. */
const MAX_LOOKS = 3;

type GitHubDeps = {
  config: Config['github'];
  /** The worker's environment, of which only the variable `config.tokenEnv` is read. */
  env: Readonly<Record<string, string | undefined>>;
  log: Log;
};

/** A repository, and the client with which it is reached. */
type Opened = { octokit: Octokit; at: HostedRepository; name: string };

type PullRequests = Awaited<ReturnType<Octokit['rest']['pulls']['list']>>['data'];

export const createGitHub = (deps: GitHubDeps): GitHub => new GitHubHost(deps);

class GitHubHost implements GitHub {
  private readonly host: string;
  private readonly tokenEnv: string;
  private readonly api: string;
  private readonly env: GitHubDeps['env'];
  private readonly log: Log;

  constructor({ config, env, log }: GitHubDeps) {
    const { host, tokenEnv, apiUrl } = config;
    this.host = host;
    this.tokenEnv = tokenEnv;
    this.api = apiUrl ?? (host === 'github.com' ? 'https://api.github.com' : `https://${host}/api/v3`);
    this.env = env;
    this.log = log;
  }

  async check(location: string, signal?: AbortSignal): Promise<void> {
    const { octokit, at, name } = this.open(location);
    const { data } = await this.call(
      `read the repository ${name}`,
      (request) => octokit.rest.repos.get({ ...at, request: { signal: request } }),
      signal,
    );
    if (data.archived) {
      throw terminal(
        FailureType.BadInput,
        `${name} on ${this.host} is archived`,
        'It takes neither pushes nor proposals.',
      );
    }
  }

  async propose(proposal: Proposal, signal?: AbortSignal): Promise<Delivery> {
    const { head, into, tip } = proposal;
    const opened = this.open(proposal.location);
    for (let look = 1; look <= MAX_LOOKS; look++) {
      const known = await this.list(opened, proposal, signal);
      const current = known.find((pull) => pull.state === 'open');
      if (current !== undefined) {
        await this.update(opened, current, proposal.report, signal);
        return deliveryOf(current, 'open', into);
      }
      const decided = known.find((pull) => pull.head.sha === tip);
      if (decided !== undefined) return deliveryOf(decided, decided.merged_at === null ? 'closed' : 'merged', into);
      const created = await this.create(opened, proposal, signal);
      if (created !== 'exists') return created;
      await sleep(LAG_MS * look, undefined, { signal });
    }
    throw new Error(`${this.api} says that a pull request of ${head} into ${into} exists, and lists none`);
  }

  /** Of the proposal's head into its branch, whatever became of them; the newest first. */
  private async list(opened: Opened, { head, into }: Proposal, signal?: AbortSignal): Promise<PullRequests> {
    const { octokit, at, name } = opened;
    const { data } = await this.call(
      `list the pull requests of ${name}`,
      (request) =>
        octokit.rest.pulls.list({
          ...at,
          head: `${at.owner}:${head}`,
          base: into,
          state: 'all',
          sort: 'created',
          direction: 'desc',
          per_page: 50,
          request: { signal: request },
        }),
      signal,
    );
    return data;
  }

  /** Puts the report into the body of an open pull request, unless it is there. */
  private async update(
    { octokit, at, name }: Opened,
    current: PullRequests[number],
    report: string,
    signal?: AbortSignal,
  ): Promise<void> {
    const body = pullRequestBody(report, current.body ?? '');
    if (body === current.body) return;
    await this.call(
      `update pull request ${current.number} of ${name}`,
      (request) =>
        octokit.rest.pulls.update({ ...at, pull_number: current.number, body, request: { signal: request } }),
      signal,
    );
  }

  /** @returns the delivery, or `exists` where GitHub answers that there is such a pull request already. */
  private async create(opened: Opened, proposal: Proposal, signal?: AbortSignal): Promise<Delivery | 'exists'> {
    const { octokit, at, name } = opened;
    const { head, into, title, report } = proposal;
    try {
      const request = { signal: withDeadline(signal) };
      const body = pullRequestBody(report);
      const { data } = await octokit.rest.pulls.create({ ...at, head, base: into, title, body, request });
      return deliveryOf(data, 'open', into);
    } catch (error) {
      const failed = this.asApiError(error, signal);
      const reason = failed.status === 422 ? failed.details.join('; ') : '';
      if (/no commits between/i.test(reason)) return { kind: 'nothing', reason };
      if (/already exists/i.test(reason)) return 'exists';
      throw this.failure(failed, `open a pull request of ${head} into ${into} of ${name}`);
    }
  }

  /** Makes one call, with a deadline. `tried` says what it does, for the failure. */
  private async call<T>(tried: string, work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await work(withDeadline(signal));
    } catch (error) {
      throw this.failure(this.asApiError(error, signal), tried);
    }
  }

  /** @throws the reason of an abort, and an error that is not of a call to the API. */
  private asApiError(error: unknown, signal?: AbortSignal): ApiError {
    signal?.throwIfAborted();
    const failed = apiError(error, this.env[this.tokenEnv] ?? '');
    if (failed === null) throw error;
    return failed;
  }

  private failure(failed: ApiError, tried: string): Error {
    return deliveryFailure(failed, { tried, api: this.api, token: this.tokenEnv });
  }

  /** @throws terminal BadInput when the location is not on this host, or there is no token. */
  private open(location: string): Opened {
    const { host, tokenEnv, log } = this;
    const at = repositoryOn(host, location);
    if (at === null) {
      throw terminal(
        FailureType.BadInput,
        `deliver "pull-request" wants a repository on ${host}, and ${location} is none`,
        'Set github.host in temporal.config.ts for GitHub Enterprise, or deliver to a branch ("deliver": "branch").',
      );
    }
    const token = this.env[tokenEnv];
    if (token === undefined || token === '') {
      throw terminal(
        FailureType.BadInput,
        `deliver "pull-request" wants a token of GitHub in ${tokenEnv} of the worker, which is not set`,
        'Set it, to a token that may write pull requests of this repository.',
      );
    }
    const toLog = (message: string): void => log.debug({}, message);
    const octokit = new Octokit({
      auth: token,
      baseUrl: this.api,
      userAgent: 'agentswarm',
      log: { debug: toLog, info: toLog, warn: toLog, error: toLog },
    });
    return { octokit, at, name: `${at.owner}/${at.repo}` };
  }
}

function withDeadline(signal?: AbortSignal): AbortSignal {
  const deadline = AbortSignal.timeout(CALL_MS);
  return signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
}

const deliveryOf = (
  pull: { html_url: string; number: number },
  state: 'open' | 'merged' | 'closed',
  into: string,
): Delivery => ({ kind: 'pull-request', url: pull.html_url, number: pull.number, state, into });
