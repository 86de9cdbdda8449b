/** A run's tasks of seeded length, and scopes of seeded size over a repository of folders and files. */
import { seeded } from '../router/text.ts';

export type Job = { id: string; minutes: number; priority: number; scope: string[] };

/** Of a task's length. */
const MEDIAN_MINUTES = 8;
/** Of the logarithm: one task in twenty takes five times the median or longer. */
const SIGMA = 1;

const FOLDERS = 12;
const FILES = 10;
/** One scope in so many is a whole folder. */
const FOLDER_SHARE = 0.04;
/** Part of the tasks that work where many others do. */
const HOT_SHARE = 0.3;

export const repositoryFiles = (): string[] =>
  Array.from({ length: FOLDERS * FILES }, (_, i) => `src/area-${Math.floor(i / FILES)}/file-${i % FILES}.ts`);

/** Tasks of log-normal length, in the order in which a planner thinks of them. */
export function makeJobs(tasks: number, seed: number): Job[] {
  const random = seeded(seed);
  return Array.from({ length: tasks }, (_, i) => ({
    id: `task-${i}`,
    minutes: MEDIAN_MINUTES * Math.exp(SIGMA * normal(random)),
    // What is needed first is planned first.
    priority: 1 + Math.floor((9 * i) / tasks),
    scope: scopeOf(random),
  }));
}

function scopeOf(random: () => number): string[] {
  const folder = () => (random() < HOT_SHARE ? 0 : Math.floor(random() * FOLDERS));
  if (random() < FOLDER_SHARE) return [`src/area-${folder()}/`];
  const paths = Array.from(
    { length: 1 + Math.floor(random() * 3) },
    () => `src/area-${folder()}/file-${Math.floor(random() * FILES)}.ts`,
  );
  return [...new Set(paths)];
}

/** Source: Box and Muller, 1958. */
const normal = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
