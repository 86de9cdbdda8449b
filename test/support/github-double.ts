/**
 * The few calls of GitHub's REST API that a delivery makes, over real HTTP. Written after GitHub's public
 * documentation (API version 2022-11-28), not recorded: the shapes of answers are parts of the types that Octokit has
 * from GitHub's own description of the API, so that `tsc` fails when they are not; the words of errors are as the
 * documentation and public reports quote them. Fields that nobody reads are left out.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RestEndpointMethodTypes } from '@octokit/rest';

type Pulls = RestEndpointMethodTypes['pulls'];
type Listed = Pulls['list']['response']['data'][number];
type Made = Pulls['create']['response']['data'] & Pulls['update']['response']['data'];
type Repository = Pick<
  RestEndpointMethodTypes['repos']['get']['response']['data'],
  'id' | 'full_name' | 'archived' | 'private'
>;
/** Of an answer that lists them, and of one to a call that makes or changes one. */
type Both<Key extends keyof Listed & keyof Made> = { [K in Key]: Listed[K] & Made[K] };
export type Pull = Both<'number' | 'title' | 'body' | 'merged_at' | 'html_url'> & {
  state: Made['state'];
  head: Pick<Listed['head'] & Made['head'], 'label' | 'ref' | 'sha'>;
  base: Pick<Listed['base'] & Made['base'], 'label' | 'ref'>;
};

type Answer = { status: number; headers?: Record<string, string>; body?: object | string };

const docs = 'https://docs.github.com/rest';
/** As GitHub says it. */
export const GITHUB_SAYS = {
  badCredentials: { status: 401, body: { message: 'Bad credentials', documentation_url: docs, status: '401' } },
  notFound: { status: 404, body: { message: 'Not Found', documentation_url: `${docs}/repos/repos`, status: '404' } },
  noRights: {
    status: 403,
    body: { message: 'Resource not accessible by personal access token', documentation_url: docs, status: '403' },
  },
  rateLimit: (reset: number): Answer => ({
    status: 403,
    headers: { 'x-ratelimit-limit': '5000', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(reset) },
    body: { message: 'API rate limit exceeded for user ID 1.', documentation_url: `${docs}/rate-limit`, status: '403' },
  }),
  secondaryLimit: {
    status: 403,
    headers: { 'retry-after': '90', 'x-ratelimit-remaining': '4000' },
    body: {
      message: 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.',
      documentation_url: docs,
    },
  },
  tooMany: { status: 429, body: { message: 'Too many requests' } },
  unavailable: { status: 503, body: '<html><body>Unicorn!</body></html>' },
  invalid: (message: string): Answer => ({
    status: 422,
    body: {
      message: 'Validation Failed',
      errors: [{ resource: 'PullRequest', code: 'custom', message }],
      documentation_url: `${docs}/pulls/pulls#create-a-pull-request`,
      status: '422',
    },
  }),
} as const;

export type GitHubDouble = {
  url: string;
  pulls: Pull[];
  requests: { line: string; authorization: string | undefined; body: string }[];
  /** Answers for the next requests, one each, in place of its own. */
  next: (Answer | undefined)[];
  /** Takes the next request that creates, and cuts the connection instead of answering. */
  loseCreated: boolean;
  /** What it does not list yet, though it is there. */
  lagging: boolean;
  /** The commit of a branch; null: the branch has nothing that the base has not. */
  tipOf: (branch: string) => string | null;
  archived: boolean;
  close(): Promise<void>;
};

/** Serves one repository, to whoever has the token. */
export async function startGitHubDouble(options: { repository: string; token: string }): Promise<GitHubDouble> {
  const { repository, token } = options;
  const owner = repository.split('/')[0];
  const http = createServer((request, response) => void handle(request, response));

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const { authorization } = request.headers;
    double.requests.push({ line: `${request.method} ${request.url}`, authorization, body });
    const answer = double.next.shift() ?? route(request, authorization, body);
    if (request.method === 'POST' && double.loseCreated) {
      double.loseCreated = false;
      request.socket.destroy();
      return;
    }
    response.writeHead(answer.status, { 'content-type': 'application/json; charset=utf-8', ...answer.headers });
    response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body));
  }

  function route(request: IncomingMessage, authorization: string | undefined, raw: string): Answer {
    if (authorization !== `token ${token}`) return GITHUB_SAYS.badCredentials;
    const url = new URL(request.url ?? '/', 'http://localhost');
    const path = url.pathname.replace(`/repos/${repository}`, '');
    if (path === url.pathname) return GITHUB_SAYS.notFound;
    const sent = (raw === '' ? {} : JSON.parse(raw)) as Record<string, string>;
    const number = Number(/^\/pulls\/(\d+)$/.exec(path)?.[1]);
    switch (`${request.method} ${Number.isNaN(number) ? path : '/pulls/n'}`) {
      case 'GET ':
        return {
          status: 200,
          body: { id: 1, full_name: repository, archived: double.archived, private: true } satisfies Repository,
        };
      case 'GET /pulls': {
        const { head, base, state } = Object.fromEntries(url.searchParams);
        const known = double.lagging ? [] : double.pulls;
        double.lagging = false;
        const listed = known.filter(
          (pull) => pull.head.label === head && pull.base.ref === base && (state === 'all' || pull.state === state),
        );
        return { status: 200, body: listed.toReversed() };
      }
      case 'POST /pulls':
        return create(sent);
      case 'PATCH /pulls/n': {
        const pull = double.pulls.find((each) => each.number === number);
        if (pull === undefined) return GITHUB_SAYS.notFound;
        Object.assign(pull, sent);
        return { status: 200, body: pull };
      }
      default:
        return GITHUB_SAYS.notFound;
    }
  }

  function create({ head = '', base = '', title = '', body = '' }: Record<string, string>): Answer {
    const label = `${owner}:${head}`;
    if (double.pulls.some((pull) => pull.state === 'open' && pull.head.label === label && pull.base.ref === base)) {
      return GITHUB_SAYS.invalid(`A pull request already exists for ${label}.`);
    }
    const sha = double.tipOf(head);
    if (sha === null) return GITHUB_SAYS.invalid(`No commits between ${base} and ${head}`);
    const number = double.pulls.length + 1;
    const pull: Pull = {
      number,
      state: 'open',
      title,
      body,
      merged_at: null,
      html_url: `https://github.example/${repository}/pull/${number}`,
      head: { label, ref: head, sha },
      base: { label: `${owner}:${base}`, ref: base },
    };
    double.pulls.push(pull);
    return { status: 201, body: pull };
  }

  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const double: GitHubDouble = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    pulls: [],
    requests: [],
    next: [],
    loseCreated: false,
    lagging: false,
    tipOf: () => 'c'.repeat(40),
    archived: false,
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
  return double;
}
