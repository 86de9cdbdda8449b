/**
 * What an agent of a script does: steps, each one turn of tool calls, then a handoff. How far it has come is
 * worked out anew from the conversation at each request, so that interrupted calls, restored sandboxes and
 * failing checks are met where they occur.
 */
import {
  type CallOutcome,
  type Conversation,
  isLastTurn,
  isSummaryWanted,
  rounds,
  type ScriptAnswer,
  type ScriptCall,
  userTexts,
} from './conversation.ts';

/** The arguments of the closing tool `submit_handoff`. */
export type HandoffPlay = {
  status: 'complete' | 'partial' | 'blocked' | 'failed';
  summary: string;
  concerns?: string[];
  suggestions?: string[];
};

/** What a step may look back on: the newest content of each file that was read, by path. */
export type Seen = { files: ReadonlyMap<string, string> };

export type Step = {
  say: string;
  calls: ScriptCall[] | ((seen: Seen) => ScriptCall[]);
  /** The call is a command whose exit code decides. */
  check?: true;
};

export type Play = {
  steps: Step[];
  handoff: HandoffPlay;
  /** How often everything is done again from the first step when a check fails; 1 unless given. */
  repairs?: number;
};

export const write = (path: string, content: string): ScriptCall => ({ name: 'write', arguments: { path, content } });
export const edit = (path: string, oldText: string, newText: string): ScriptCall => ({
  name: 'edit',
  arguments: { path, oldText, newText },
});
export const read = (path: string): ScriptCall => ({ name: 'read', arguments: { path } });

/** One turn of calls whose results need no looking at. */
export const step = (say: string, ...calls: ScriptCall[]): Step => ({ say, calls });

/** Runs a command; the step is done when it exits 0. */
export const check = (say: string, command: string): Step => ({
  say,
  calls: [{ name: 'bash', arguments: { command: `${command}\necho "exit=$?"`, timeoutSeconds: 300 } }],
  check: true,
});

type Position =
  | { kind: 'step'; index: number }
  /** Looks whether an edit that was interrupted or refused is in the file. */
  | { kind: 'inspect'; index: number }
  | { kind: 'done' }
  | { kind: 'given-up'; handoff: HandoffPlay };

/** What the agent does next. Pure. */
export function nextTurn(play: Play, conversation: Conversation): ScriptAnswer {
  const { position, seen } = locate(play, conversation);
  if (isSummaryWanted(conversation)) {
    const index = position.kind === 'step' || position.kind === 'inspect' ? position.index : play.steps.length;
    return { text: `The work goes as planned.\nSteps done: ${index}`, calls: [] };
  }
  if (position.kind === 'done') return handoffAnswer(play.handoff);
  if (position.kind === 'given-up') return handoffAnswer(position.handoff);
  const next = play.steps[position.index];
  const calls = next === undefined ? [] : position.kind === 'inspect' ? inspection(next, seen) : callsOf(next, seen);
  if (next === undefined || isLastTurn(conversation)) {
    return handoffAnswer({
      status: 'partial',
      summary: `${position.index} of ${play.steps.length} steps are done; a limit is reached.`,
    });
  }
  return { text: position.kind === 'inspect' ? 'First I look at what is in the file.' : next.say, calls };
}

export const handoffAnswer = (handoff: HandoffPlay): ScriptAnswer => ({
  text: '',
  calls: [{ name: 'submit_handoff', arguments: { concerns: [], suggestions: [], ...handoff } }],
});

const callsOf = (at: Step, seen: Seen): ScriptCall[] => (typeof at.calls === 'function' ? at.calls(seen) : at.calls);

const edits = (at: Step, seen: Seen): ScriptCall[] => callsOf(at, seen).filter((call) => call.name === 'edit');

const inspection = (at: Step, seen: Seen): ScriptCall[] =>
  [...new Set(edits(at, seen).map((call) => String(call.arguments['path'])))].map(read);

function locate(play: Play, conversation: Conversation): { position: Position; seen: Seen } {
  const files = new Map<string, string>();
  const seen: Seen = { files };
  let repairs = play.repairs ?? 1;
  let position: Position = at(play, stepsDoneBefore(conversation));
  for (const { calls, results } of rounds(conversation)) {
    if (results.length === 0) continue;
    for (const call of calls) {
      const result = results.find((candidate) => candidate.callId === call.id);
      if (call.name === 'read' && result?.status === 'ok')
        files.set(String(call.arguments['path']), unnumbered(result.output));
    }
    if (position.kind !== 'step' && position.kind !== 'inspect') break;
    const current: Step | undefined = play.steps[position.index];
    if (current === undefined) break;
    const verdict = position.kind === 'inspect' ? judgeInspection(current, seen) : judge(current, results, seen);
    if (verdict === 'ok') position = at(play, position.index + 1);
    else if (verdict === 'inspect') position = { kind: 'inspect', index: position.index };
    else if (verdict === 'again') position = { kind: 'step', index: position.index };
    else if (current.check && repairs-- > 0) position = at(play, 0);
    else position = { kind: 'given-up', handoff: giveUp(current, results) };
  }
  return { position, seen };
}

const at = (play: Play, index: number): Position =>
  index < play.steps.length ? { kind: 'step', index } : { kind: 'done' };

/** After a compaction the summary says how far the agent had come. */
const stepsDoneBefore = (conversation: Conversation): number =>
  Number.parseInt(
    userTexts(conversation)
      .join('\n')
      .match(/^Steps done: (\d+)$/m)?.[1] ?? '0',
    10,
  );

function judge(current: Step, results: CallOutcome[], seen: Seen): 'ok' | 'again' | 'inspect' | 'failed' {
  const interrupted = results.some((result) => result.status === 'interrupted');
  if (current.check) {
    const code = results
      .map((result) => /^exit=(\d+)\s*$/m.exec(result.output)?.[1])
      .find((found) => found !== undefined);
    if (code !== undefined) return code === '0' ? 'ok' : 'failed';
    return interrupted ? 'again' : 'failed';
  }
  if (!interrupted && results.every((result) => result.status === 'ok')) return 'ok';
  if (edits(current, seen).length > 0) return 'inspect';
  return interrupted ? 'again' : 'failed';
}

/** An edit is in the file when all its lines are; if none is, it is made again. */
function judgeInspection(current: Step, seen: Seen): 'ok' | 'again' | 'failed' {
  const states = edits(current, seen).map((call) => {
    const content = seen.files.get(String(call.arguments['path'])) ?? '';
    if (content.includes(String(call.arguments['newText']))) return 'ok';
    return content.includes(String(call.arguments['oldText'])) ? 'again' : 'failed';
  });
  if (states.includes('failed')) return 'failed';
  return states.includes('again') ? 'again' : 'ok';
}

function giveUp(current: Step, results: CallOutcome[]): HandoffPlay {
  const output = results
    .map((result) => result.output)
    .join('\n')
    .trim();
  return {
    status: 'failed',
    summary: `"${current.say}" did not succeed. The end of the output:\n${output.slice(-1_500)}`,
    concerns: ['The work tree is as it was left; the next attempt can go on from it.'],
  };
}

/** The content of a file out of the `read` tool's numbered lines; without numbers, the text as it is. */
export function unnumbered(output: string): string {
  const lines = output.split('\n');
  const numbered = lines.map((line) => /^\s*\d+(?:\t|→|\| ?|: ?)(.*)$/.exec(line)?.[1]);
  if (numbered[0] === undefined) return output;
  return `${numbered.filter((line) => line !== undefined).join('\n')}\n`;
}
