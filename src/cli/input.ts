/** What a person types, made into the input of a run. */
import { readFileSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { randomBytes } from 'node:crypto';
import { repositoryOf } from '../host/repository.ts';
import { PlannerInput, type RepositoryRef, type SpecSource } from '../shared/contracts/run.ts';
import { FailureType, failureTypeOf } from '../shared/base/failures.ts';
import { describeIssues } from '../shared/contracts/run-settings.ts';
import { usageError } from './errors.ts';
import type { Io } from './io.ts';
import { specFolder } from './spec-folder.ts';
import { cliText } from './text.ts';

/** As one component of a ref, a path and a link, so that every name made from it is readable. */
const RUN_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/;

type Here = Pick<Io, 'cwd' | 'env'>;

export type RunRequest = {
  repo: string;
  spec: string;
  base?: string | undefined;
  branch?: string | undefined;
  maxWorkers?: number | undefined;
  deliver?: string | undefined;
  approvals?: string[] | undefined;
};

/** Throws a usage error that names the option. `cwd` is what relative paths stand on, `env` the person's. */
export async function plannerInput(request: RunRequest, { cwd, env }: Here): Promise<PlannerInput> {
  const { maxWorkers, deliver, approvals } = request;
  const settings = {
    ...(maxWorkers === undefined ? {} : { maxWorkers }),
    ...(deliver === undefined ? {} : { deliver }),
    ...(approvals === undefined ? {} : { approvals }),
  };
  const parsed = PlannerInput.safeParse({
    repo: (await repositoryHere(request.repo, { cwd, env })).location,
    spec: specSource(request.spec, cwd),
    ...(request.base === undefined ? {} : { base: request.base }),
    ...(request.branch === undefined ? {} : { branch: request.branch }),
    ...(Object.keys(settings).length === 0 ? {} : { settings }),
  });
  if (parsed.success) return parsed.data;
  throw usageError(cliText.badInput(describeIssues(parsed.error, '')));
}

/** What a person names here is the same repository as for a worker. Throws a usage error. */
export async function repositoryHere(repo: string, { cwd, env }: Here): Promise<RepositoryRef> {
  try {
    return (await repositoryOf(repo, { cwd, env })).repo;
  } catch (error) {
    const type = failureTypeOf(error);
    if (type !== FailureType.BadInput && type !== FailureType.RepositoryUnusable) throw error;
    throw usageError((error as Error).message, error);
  }
}

/** `@file` is that file's text, `@folder` the texts in it; what has no white space is a path in the repository; all else is text. */
export function specSource(spec: string, cwd: string): SpecSource {
  if (spec.startsWith('@')) {
    const path = resolve(cwd, spec.slice(1));
    const isFolder = spec !== '@' && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
    return isFolder ? { files: specFolder(path) } : { text: fileText(path) };
  }
  if (spec.trim() === '') throw usageError(cliText.emptySpec);
  return /\s/.test(spec) ? { text: spec } : spec;
}

function fileText(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw usageError(cliText.unreadableSpec(path, (error as Error).message), error);
  }
  if (text.trim() === '') throw usageError(cliText.emptySpecFile(path));
  return text;
}

/** The id that was asked for, checked, or one made of the repository's name, the time (UTC) and chance. */
export function runId(asked: string | undefined, repo: string, now = new Date()): string {
  if (asked !== undefined) {
    if (RUN_ID.test(asked)) return asked;
    throw usageError(cliText.badRunId(asked));
  }
  const time = now.toISOString().replace(/\D/g, '').slice(4, 12);
  return `${repositoryName(repo)}-${time}-${randomBytes(2).toString('hex')}`;
}

function repositoryName(repo: string): string {
  const name = basename(repo.replace(/\/+$/, '').replace(/\.git$/, ''))
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 30);
  return name === '' ? 'run' : name;
}

/** The id that was asked for, checked, or one made of the repository's name; it begins the ids of its runs. */
export function scheduleId(asked: string | undefined, repo: string): string {
  if (asked === undefined) return `${repositoryName(repo)}-reconcile`;
  if (RUN_ID.test(asked)) return asked;
  throw usageError(cliText.badRunId(asked));
}

/** A whole number of at least 1, for commander. */
export function positiveInteger(option: string): (text: string) => number {
  return (text) => {
    if (/^\d{1,6}$/.test(text) && Number(text) >= 1) return Number(text);
    throw usageError(cliText.notPositive(option, text));
  };
}

/** A number above 0, for commander. */
export function positiveNumber(option: string): (text: string) => number {
  return (text) => {
    if (/^\d{1,12}(\.\d{1,6})?$/.test(text) && Number(text) > 0) return Number(text);
    throw usageError(cliText.notAbove0(option, text));
  };
}
