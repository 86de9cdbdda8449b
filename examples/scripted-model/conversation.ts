/**
 * A request as a script sees it: the same for both protocols. Everything that a script may react to is in
 * here, so that two answers to the same request are equal.
 */

export type CallOutcome = { callId: string; status: 'ok' | 'error' | 'interrupted'; output: string };
export type SeenCall = { id: string; name: string; arguments: Record<string, unknown> };

export type Turn =
  | { role: 'user'; text: string }
  | { role: 'assistant'; text: string; calls: SeenCall[] }
  | { role: 'tool'; results: CallOutcome[] };

export type Conversation = {
  protocol: 'openai' | 'anthropic';
  model: string;
  system: string;
  turns: Turn[];
  /** Names of the tools that are offered. */
  tools: string[];
};

/** A call as a script writes it; its id is given when it is sent. */
export type ScriptCall = { name: string; arguments: Record<string, unknown> };
export type ScriptAnswer = { text: string; calls: ScriptCall[] };

/** What is played. `answer` must be a pure function of the conversation. */
export type Script = { name: string; answer(conversation: Conversation): ScriptAnswer };

export type AgentRole = 'planner' | 'worker' | 'conflict' | 'reconciler' | 'unknown';

/** Who asks: told by the tools that are offered, and a conflict agent by its prompt. */
export function roleOf(conversation: Conversation): AgentRole {
  if (/^# Conflict agent/m.test(conversation.system) || conflictedFiles(conversation).length > 0) return 'conflict';
  if (conversation.tools.includes('submit_fixes') || /^# Reconciler/m.test(conversation.system)) return 'reconciler';
  if (conversation.tools.includes('submit_plan') || /^# Root planner/m.test(conversation.system)) return 'planner';
  if (conversation.tools.includes('submit_handoff') || /^# Worker/m.test(conversation.system)) return 'worker';
  return 'unknown';
}

export const userTexts = (conversation: Conversation): string[] =>
  conversation.turns.flatMap((turn) => (turn.role === 'user' ? [turn.text] : []));

/** What the loop said last, that asks for a summary instead of the conversation. */
export const isSummaryWanted = (conversation: Conversation): boolean =>
  lastWord(conversation).includes('will be replaced by what you write now');

/** A limit is reached: only the closing call counts. */
export const isLastTurn = (conversation: Conversation): boolean =>
  lastWord(conversation).includes('This is your last turn');

function lastWord({ turns }: Conversation): string {
  const last = turns.at(-1);
  return last?.role === 'user' ? last.text : '';
}

/** The task that an agent works on, from the line `Task: <id>` of its first messages. */
export const taskOf = (conversation: Conversation): string | undefined => firstMatch(conversation, /^Task: (\S+)\s*$/m);

/** From the line `Attempt: <n>`; 1 where there is none. */
export const attemptOf = (conversation: Conversation): number =>
  Number.parseInt(firstMatch(conversation, /^Attempt: (\d+)\s*$/m) ?? '1', 10);

/** The `- path` lines below `Conflicted files:`. */
export function conflictedFiles(conversation: Conversation): string[] {
  const list = firstMatch(conversation, /^Conflicted files:\s*\n((?:- .+\n?)+)/m);
  return list === undefined
    ? []
    : [...list.matchAll(/^- (.+?)\s*$/gm)].map((match) => (match[1] ?? '').replaceAll('`', ''));
}

function firstMatch(conversation: Conversation, pattern: RegExp): string | undefined {
  for (const text of userTexts(conversation)) {
    const match = pattern.exec(text);
    if (match?.[1] !== undefined) return match[1];
  }
  return undefined;
}

/** Assistant turns with the results that followed them, oldest first. */
export function rounds(conversation: Conversation): { calls: SeenCall[]; results: CallOutcome[] }[] {
  const all: { calls: SeenCall[]; results: CallOutcome[] }[] = [];
  for (const turn of conversation.turns) {
    if (turn.role === 'assistant') all.push({ calls: turn.calls, results: [] });
    else if (turn.role === 'tool') all.at(-1)?.results.push(...turn.results);
  }
  return all;
}

/**
 * How a tool call ended. OpenAI's protocol has no field for it, so it stands in front of the output; Anthropic's
 * knows errors only, so an interrupted call says so in its words.
 */
export function outcomeStatus(output: string, isError = false): CallOutcome['status'] {
  const said = /^\[(error|interrupted)\]\n/.exec(output)?.[1];
  if (said === 'interrupted' || (isError && /\binterrupted\b|^This call was not run/i.test(output.slice(0, 300)))) {
    return 'interrupted';
  }
  return said === 'error' || isError ? 'error' : 'ok';
}
