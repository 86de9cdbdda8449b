/** Messages of the commits that the host makes for agents. Pure. */
import { CHANGE_TRAILER, TASK_TRAILER } from './ids.ts';

/** Invisible characters (zero-width, direction marks) could make a line look like what it is not. */
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]|\p{Cf}/gu;
const SWARM_LINE = /^\s*swarm\s*-[\w\s-]*:/iu;

/**
 * Subject, body, and the trailers as a last paragraph of their own. Every line of subject and body that looks like
 * a `Swarm-*` trailer is dropped, with the lines that continue it: only the host says whose change a commit is.
 * @param task the workflow id of the task. @param change the first run id of its chain.
 */
export function landingMessage(parts: { subject: string; body: string; task: string; change: string }): string {
  const subject = withoutSwarmLines(parts.subject).replace(/\s+/g, ' ').trim();
  const body = withoutSwarmLines(parts.body)
    .replace(/\n{3,}/g, '\n\n')
    .trim();
  const trailers = `${TASK_TRAILER}: ${parts.task}\n${CHANGE_TRAILER}: ${parts.change}`;
  return `${[subject === '' ? `Work of ${parts.task}` : subject, body, trailers].filter((part) => part !== '').join('\n\n')}\n`;
}

function withoutSwarmLines(text: string): string {
  const kept: string[] = [];
  let dropping = false;
  for (const line of text.replace(/\r\n?/g, '\n').replace(UNSEEN, '').split('\n')) {
    const continues: boolean = dropping && /^\s+\S/.test(line);
    dropping = continues || SWARM_LINE.test(line);
    if (!dropping) kept.push(line.trimEnd());
  }
  return kept.join('\n');
}
