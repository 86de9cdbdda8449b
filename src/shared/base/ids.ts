/**
 * Names that cross process boundaries: task ids, workflow ids, refs, repository keys. Pure.
 * They are costly to change once histories and remotes hold them.
 */
import { z } from 'zod';
import { fnv1a } from './digest.ts';
import { FailureType, terminal } from './failures.ts';

/** `[a-z0-9][a-z0-9-]{0,39}`: safe as one component of a ref, a path and a workflow id. */
export const TaskId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'a task id is 1 to 40 of a-z, 0-9 and -, and does not start with -');

/** A full object name in lower case: 40 hex digits (SHA-1) or 64 (SHA-256). */
export const CommitSha = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/, 'a commit is 40 or 64 hex digits');
export type CommitSha = z.infer<typeof CommitSha>;

/**
 * One chain of continue-as-new runs. Workflow ids are reused (a run started again, a reset), so whoever
 * sends or receives a message is named by both parts.
 */
export const Chain = z.object({ workflowId: z.string().min(1), firstRunId: z.string().min(1) });
export type Chain = z.infer<typeof Chain>;

export const sameChain = (a: Chain, b: Chain): boolean =>
  a.workflowId === b.workflowId && a.firstRunId === b.firstRunId;

export const taskWorkflowId = (parentId: string, taskId: string, attempt: number): string =>
  `${parentId}/${taskId}.${attempt}`;

export const agentWorkflowId = (taskId: string): string => `${taskId}/agent`;

export const conflictAgentWorkflowId = (taskId: string, attempt: number): string => `${taskId}/conflict.${attempt}`;

export const mergeQueueWorkflowId = (repositoryKey: string, branch: string): string =>
  `merge-queue/${repositoryKey}#${branch}`;

/**
 * The part of a task's workflow id below its run, as one ref component: `run/group.1/alpha.2` is
 * `group.1_alpha.2` (in git `refs/x/a` and `refs/x/a/b` cannot both exist).
 */
export function taskPath(runId: string, workflowId: string): string {
  const prefix = `${runId}/`;
  if (!workflowId.startsWith(prefix)) {
    throw terminal(FailureType.Invariant, `workflow "${workflowId}" is not below run "${runId}"`);
  }
  return workflowId.slice(prefix.length).replaceAll('/', '_');
}

/** The task as people name it, without attempts: `run/group.1/alpha.2` is `group/alpha`. */
export const taskName = (runId: string, workflowId: string): string =>
  taskPath(runId, workflowId)
    .split('_')
    .map((part) => part.replace(/\.\d+$/, ''))
    .join('/');

/**
 * A run id as one component of a ref. What git's check-ref-format allows stays as it is; anything else is
 * replaced by `-`, and a hash of the original is appended so that two run ids never share a component.
 */
export function refComponent(runId: string): string {
  const safe = runId
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/\.{2,}/g, '-')
    .replace(/^[.-]+/, '')
    .slice(0, 100)
    .replace(/(\.lock|\.)$/, '-');
  if (safe === runId) return safe;
  return `${safe === '' ? 'run' : safe}${safe.endsWith('-') ? '' : '-'}${fnv1a(runId)}`;
}

export const RUN_REFS = 'refs/agentswarm/runs';

/** Where a task's work in flight is on the remote: `refs/agentswarm/runs/<run>/<task path>`. */
export const taskRef = (runId: string, workflowId: string): string =>
  `${RUN_REFS}/${refComponent(runId)}/${taskPath(runId, workflowId)}`;

export const runRefPrefix = (runId: string): string => `${RUN_REFS}/${refComponent(runId)}/`;

const GREEN_REFS = 'refs/agentswarm/green/';

/** Names the newest commit of a branch that is known to pass its checks. */
export const greenRef = (branch: string): string => `${GREEN_REFS}${branch}`;

export const branchOfGreenRef = (ref: string): string | null =>
  ref.startsWith(GREEN_REFS) ? ref.slice(GREEN_REFS.length) : null;

/** Is there while a person has frozen that branch. */
export const frozenRef = (branch: string): string => `refs/agentswarm/frozen/${refComponent(branch)}`;

export const reconcilerWorkflowId = (runId: string): string => `${runId}/reconciler`;

const GATE_REFS = 'refs/agentswarm/gate';

/** Where composed lines are on the remote while they are being checked: each below it by its commit. */
export const gateRefPrefix = (branch: string): string => `${GATE_REFS}/${refComponent(branch)}/`;

/** Refs that a landing may delete: those of work in flight, and of composed lines. */
export const isWorkRef = (ref: string): boolean => ref.startsWith(`${RUN_REFS}/`) || ref.startsWith(`${GATE_REFS}/`);

export const defaultBranch = (runId: string): string => `agentswarm/${refComponent(runId)}`;

/** Trailers of every landing commit. Only `Swarm-Change` decides that something has already landed. */
export const TASK_TRAILER = 'Swarm-Task';
export const CHANGE_TRAILER = 'Swarm-Change';
/** Of one that a guard held and a person released, with the reason. */
export const RELEASED_TRAILER = 'Swarm-Released';

const DEFAULT_PORTS: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443', 'ssh:': '22' };

/**
 * One key per repository. Of a URL or `host:path`: the host in lower case, without scheme, user, the scheme's own port,
 * `.git`, doubled and trailing slashes; percent-encoding undone. A local path is its own key: the caller has made it real,
 * and a bare repository beside its clone (`app.git`, `app`) is another one.
 */
export function repositoryKey(location: string): string {
  if (location.startsWith('/')) return location.replace(/(?<=.)\/+$/, '');
  const scp = /^(?:[^@/]+@)?([^:/]+):(?!\/\/)(.+)$/.exec(location);
  if (scp?.[1] && scp[2]) return `${scp[1].toLowerCase()}/${remotePath(scp[2])}`;
  const url = new URL(location);
  const path = url.pathname.split('/').map(decoded).join('/');
  if (url.protocol === 'file:') return repositoryKey(path);
  const port = url.port === '' || url.port === DEFAULT_PORTS[url.protocol] ? '' : `:${url.port}`;
  return `${url.hostname.toLowerCase()}${port}/${remotePath(path)}`;
}

/** Hosts of repositories know no difference between `host:team/x`, `ssh://host/~/team/x` and `ssh://host/team/x`. */
const remotePath = (path: string): string =>
  path
    .replace(/\/{2,}/g, '/')
    .replace(/^\/?(?:~\/)?/, '')
    .replace(/\/$/, '')
    .replace(/\.git$/, '')
    .replace(/\/$/, '');

/** A slash that is written as `%2F` is part of a name. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment).replaceAll('/', '%2F');
  } catch {
    return segment;
  }
}
