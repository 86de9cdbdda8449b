/** Pull requests on GitHub and GitHub Enterprise. Retries are Temporal's: nothing is tried twice in here. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Octokit } from '@octokit/rest';
import type { Config } from '../../shared/config/worker-config.ts';
import type { Delivery } from '../../shared/contracts/deliver.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import type { Log } from '../support/log.ts';
import { pullRequestBody } from './body.ts';
import { apiError, deliveryFailure } from './failures.ts';
import { type HostedRepository, repositoryOn } from './repository.ts';

export type Proposal = {
  /** As git takes it. */
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
  /** Before a run starts. @throws terminal BadInput with what a person has to mend; a retryable failure when it is not reached. */
  check(location: string, signal?: AbortSignal): Promise<void>;
  /** Opens a pull request, or updates the one that is open for this head. The same again changes nothing. */
  propose(proposal: Proposal, signal?: AbortSignal): Promise<Delivery>;
}

const CALL_MS = 60_000;
/** A list may lag behind what was made a moment ago. */
const LAG_MS = 1_000;
const LOOKS = 3;

/** @param env the worker's environment, of which only the variable `config.tokenEnv` is read. */
export function createGitHub(deps: {
  config: Config['github'];
  env: Readonly<Record<string, string | undefined>>;
  log: Log;
}): GitHub {
  const { config, env, log } = deps;
  const { host, tokenEnv } = config;
  const api = config.apiUrl ?? (host === 'github.com' ? 'https://api.github.com' : `https://${host}/api/v3`);

  function open(location: string): { octokit: Octokit; at: HostedRepository; name: string } {
    const wrong = (message: string, remedy: string) => terminal(FailureType.BadInput, message, remedy);
    const at = repositoryOn(host, location);
    if (at === null) {
      throw wrong(
        `deliver "pull-request" wants a repository on ${host}, and ${location} is none`,
        'Set github.host in temporal.config.ts for GitHub Enterprise, or deliver to a branch ("deliver": "branch").',
      );
    }
    const token = env[tokenEnv];
    if (token === undefined || token === '') {
      throw wrong(
        `deliver "pull-request" wants a token of GitHub in ${tokenEnv} of the worker, which is not set`,
        'Set it, to a token that may write pull requests of this repository.',
      );
    }
    const tell = (message: string): void => log.debug({}, message);
    const octokit = new Octokit({
      auth: token,
      baseUrl: api,
      userAgent: 'agentswarm',
      log: { debug: tell, info: tell, warn: tell, error: tell },
    });
    return { octokit, at, name: `${at.owner}/${at.repo}` };
  }

  async function call<T>(tried: string, work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const deadline = AbortSignal.timeout(CALL_MS);
    try {
      return await work(signal === undefined ? deadline : AbortSignal.any([signal, deadline]));
    } catch (error) {
      signal?.throwIfAborted();
      const failed = apiError(error, env[tokenEnv] ?? '');
      if (failed === null) throw error;
      throw deliveryFailure(failed, { tried, api, token: tokenEnv });
    }
  }

  return {
    async check(location, signal) {
      const { octokit, at, name } = open(location);
      const { data } = await call(
        `read the repository ${name}`,
        (request) => octokit.rest.repos.get({ ...at, request: { signal: request } }),
        signal,
      );
      if (data.archived) {
        throw terminal(
          FailureType.BadInput,
          `${name} on ${host} is archived`,
          'It takes neither pushes nor proposals.',
        );
      }
    },

    async propose({ location, head, into, tip, title, report }, signal) {
      const { octokit, at, name } = open(location);
      const seen = (pull: { html_url: string; number: number }, state: 'open' | 'merged' | 'closed'): Delivery => ({
        kind: 'pull-request',
        url: pull.html_url,
        number: pull.number,
        state,
        into,
      });
      for (let look = 1; look <= LOOKS; look++) {
        const { data: known } = await call(
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
        const current = known.find((pull) => pull.state === 'open');
        if (current !== undefined) {
          const body = pullRequestBody(report, current.body ?? '');
          if (body !== current.body) {
            await call(
              `update pull request ${current.number} of ${name}`,
              (request) =>
                octokit.rest.pulls.update({ ...at, pull_number: current.number, body, request: { signal: request } }),
              signal,
            );
          }
          return seen(current, 'open');
        }
        const decided = known.find((pull) => pull.head.sha === tip);
        if (decided !== undefined) return seen(decided, decided.merged_at === null ? 'closed' : 'merged');
        try {
          const request = { signal: AbortSignal.any([AbortSignal.timeout(CALL_MS), ...(signal ? [signal] : [])]) };
          const { data } = await octokit.rest.pulls.create({
            ...at,
            head,
            base: into,
            title,
            body: pullRequestBody(report),
            request,
          });
          return seen(data, 'open');
        } catch (error) {
          signal?.throwIfAborted();
          const failed = apiError(error, env[tokenEnv] ?? '');
          if (failed === null) throw error;
          const said = failed.status === 422 ? failed.details.join('; ') : '';
          if (/no commits between/i.test(said)) return { kind: 'nothing', reason: said };
          const tried = `open a pull request of ${head} into ${into} of ${name}`;
          if (!/already exists/i.test(said)) throw deliveryFailure(failed, { tried, api, token: tokenEnv });
        }
        await sleep(LAG_MS * look, undefined, { signal });
      }
      throw new Error(`${api} says that a pull request of ${head} into ${into} exists, and lists none`);
    },
  };
}
