/** What git and remotes say when they fail, told apart so that callers can retry, ask the person, or go on. */

/**
 * `network`: may go away by itself. `credentials`: the remote does not know us. `not-found`: no such repository
 * or ref. `refused`: a hook, a protected branch, missing rights, a quota (see refusals.ts). `stale`: somebody else was
 * faster.
 */
export type RemoteErrorKind = 'network' | 'credentials' | 'not-found' | 'refused' | 'stale' | 'other';

/** Status lines of a push are judged first, without the `remote:` lines, in which a hook may write anything. */
const STATUS: readonly [RemoteErrorKind, RegExp][] = [
  ['stale', /\((?:stale info|fetch first|non-fast-forward|needs force|remote ref updated since checkout)\)/],
  [
    'stale',
    /remote rejected\].*\((?:cannot lock ref|failed to update ref|failed to lock|incorrect old value|reference already exists)/,
  ],
  ['stale', /cannot lock ref '[^']*': (?:is at [0-9a-f]+ but expected|reference already exists)/],
  ['refused', /!\s.*\[remote rejected\]/],
];

/** Lines of transport and server, `remote:` included, because hosts explain refusals there. */
const TRANSPORT: readonly [RemoteErrorKind, RegExp][] = [
  ['credentials', /authentication failed|could not read (?:username|password)|invalid username or (?:password|token)/i],
  [
    'credentials',
    /http basic: access denied|returned error: 401|permission denied \([^)]*(?:publickey|password|keyboard)/i,
  ],
  ['credentials', /host key verification failed|bad credentials|no supported authentication methods/i],
  ['not-found', /repository (?:'[^']*' )?(?:not found|does not exist)|returned error: (?:404|410)/i],
  ['not-found', /couldn't find remote ref|does not appear to be a git repository|remote branch .* not found/i],
  ['not-found', /the project you were looking for could not be found|could not find repository|no such repository/i],
  [
    'refused',
    /returned error: (?:403|413)|permission to \S+ denied|you (?:are not allowed|do not have permission) to (?:push|upload)/i,
  ],
  [
    'refused',
    /hook declined|protected branch|\bGH0\d\d:|rule violations|refusing to (?:update|delete|create)|push declined/i,
  ],
  ['refused', /insufficient permission|detected dubious ownership|repository is (?:archived|read-only)|access denied/i],
  [
    'network',
    /could not resolve (?:host|hostname|proxy)|couldn't connect to server|failed to connect to|connection (?:refused|reset|timed out|closed)/i,
  ],
  [
    'network',
    /remote end hung up|early eof|unexpected disconnect|rpc failed|empty reply from server|operation (?:timed out|too slow)/i,
  ],
  [
    'network',
    /returned error: (?:408|429|5\d\d)|network is unreachable|no route to host|broken pipe|kex_exchange_identification/i,
  ],
  [
    'network',
    /gnutls_handshake|tls connection was non-properly terminated|ssl_(?:read|write|connect|error_syscall)|transfer closed|recv failure|send failure/i,
  ],
];

/** @param output what git printed: standard error, and of a `push --porcelain` also standard output. */
export function classifyRemoteError(output: string): RemoteErrorKind {
  const own = output
    .split('\n')
    .filter((line) => !line.startsWith('remote:'))
    .join('\n');
  for (const [kind, pattern] of STATUS) if (pattern.test(own)) return kind;
  for (const [kind, pattern] of TRANSPORT) if (pattern.test(own)) return kind;
  for (const [kind, pattern] of TRANSPORT) if (kind !== 'network' && pattern.test(output)) return kind;
  return 'other';
}

/** The remote's own words about a push, as a person should read them: at most 2,000 characters. */
export function remoteWords(output: string): string {
  const words: string[] = [];
  for (const line of output.split(/[\r\n]+/)) {
    const reason = /^remote: ?(.*)$/.exec(line)?.[1] ?? /^!\s.*?\[((?:remote )?rejected\].*)$/.exec(line)?.[1];
    const fatal = reason ?? /^(?:fatal|error): (.*)$/.exec(line)?.[1];
    if (fatal !== undefined && fatal.trim() !== '' && !/^failed to push some refs/.test(fatal)) {
      words.push(
        fatal
          .replace(/^remote rejected\] */, 'rejected: ')
          .replace(/^rejected\] */, 'rejected: ')
          .trim(),
      );
    }
  }
  const text = [...new Set(words)].join('\n');
  return (text === '' ? output.trim() : text).slice(0, 2_000);
}

/** Takes user-info of URLs, authorization headers and the given secrets out of a text. */
export function redact(text: string, secrets: readonly string[] = []): string {
  let clean = text
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@'"]+@/gi, '$1***@')
    .replace(/(authorization:\s*)(?:basic|bearer|token)?\s*[^\s'"]+/gi, '$1***');
  for (const secret of secrets) if (secret.length > 3) clean = clean.replaceAll(secret, '***');
  return clean;
}

export type GitErrorDetails = {
  argv: readonly string[];
  /** Repository or folder that the command was about. */
  on: string;
  /** Exit code; null when the process was ended by a signal or never started. */
  code: number | null;
  /** Tail of what it printed, redacted. */
  output: string;
  /** Why it ended, where that was not its own exit. */
  reason?: string;
};

/** A git command that failed. Retryable unless a caller that knows better makes it terminal. */
export class GitError extends Error {
  override readonly name = 'GitError';
  readonly argv: readonly string[];
  readonly on: string;
  readonly code: number | null;
  readonly output: string;
  readonly kind: RemoteErrorKind;

  constructor(details: GitErrorDetails, options?: ErrorOptions) {
    const { argv, on, code, output, reason } = details;
    const how = reason ?? (code === null ? 'did not start' : `ended with code ${code}`);
    const command = ['git', ...argv].join(' ');
    super(`${command.length > 300 ? `${command.slice(0, 300)}…` : command} on ${on} ${how}: ${output.trim()}`, options);
    this.argv = argv;
    this.on = on;
    this.code = code;
    this.output = output;
    this.kind = reason === undefined ? classifyRemoteError(output) : 'other';
  }
}
