/** Messages of the commits that the host makes for agents. Pure. */
import { CHANGE_TRAILER, RELEASED_TRAILER, TASK_TRAILER } from './ids.ts';

/** Invisible characters (zero-width, direction marks) could make a line look like what it is not. */
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]|\p{Cf}/gu;
const MAX_REASON_CHARS = 300;
const SWARM_LINE = /^\s*swarm\s*-[\w\s-]*:/iu;

/**
 * Subject, body, and the trailers as a last paragraph of their own. Every line of subject and body that looks like
 * a `Swarm-*` trailer is dropped, with the lines that continue it: only the host says whose change a commit is.
 * @param task the workflow id of the task. @param change the first run id of its chain. @param released why a person
 * released it, in one line; may be empty.
 */
export function landingMessage(parts: {
  subject: string;
  body: string;
  task: string;
  change: string;
  released?: string | undefined;
}): string {
  const subject = withoutSwarmLines(parts.subject).replace(/\s+/g, ' ').trim();
  const body = withoutSwarmLines(parts.body)
    .replace(/\n{3,}/g, '\n\n')
    .trim();
  const released = parts.released === undefined ? [] : [`${RELEASED_TRAILER}: ${oneLine(parts.released)}`];
  const trailers = [`${TASK_TRAILER}: ${parts.task}`, `${CHANGE_TRAILER}: ${parts.change}`, ...released].join('\n');
  return `${[subject === '' ? `Work of ${parts.task}` : subject, body, trailers].filter((part) => part !== '').join('\n\n')}\n`;
}

function withoutSwarmLines(text: string): string {
  const bodyLines: string[] = [];
  let dropping = false;
  for (const line of text.replace(/\r\n?/g, '\n').replace(UNSEEN, '').split('\n')) {
    const continues: boolean = dropping && /^\s+\S/.test(line);
    dropping = continues || SWARM_LINE.test(line);
    if (!dropping) bodyLines.push(line.trimEnd());
  }
  return bodyLines.join('\n');
}

/** A trailer has a value, and ends with its line. */
function oneLine(reason: string): string {
  const line = reason.replace(/\s+/g, ' ').replace(UNSEEN, '').trim();
  return line === '' ? 'by a person' : line.slice(0, MAX_REASON_CHARS).toWellFormed();
}
