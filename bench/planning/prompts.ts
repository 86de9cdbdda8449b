/** What a planner's calls send, and how much of it the call before had already sent. */
import { type Conversation, roleOf, type Script, type Turn } from '../../examples/scripted-model/conversation.ts';

/** Lengths in characters. */
export type Call = {
  /** Of which replan it is; 0 is the first plan. */
  replan: number;
  prompt: number;
  /** The longest prefix that the call before it had too. */
  shared: number;
  /** All that the planner was told so far and its newest scratchpad, without its own words: sent in one message. */
  everything: number;
  /** The first call after a compaction. */
  anew: boolean;
};

/** Notes each call of the planner's model that comes by. A call that is repeated counts as it comes. */
export function recorded(script: Script): Script & { calls: readonly Call[] } {
  const calls: Call[] = [];
  let before = '';
  let replans = 0;
  let seen = 0;
  return {
    name: script.name,
    calls,
    answer(conversation) {
      if (roleOf(conversation) === 'planner') {
        const prompt = rendered(conversation);
        const shared = commonPrefix(before, prompt);
        // Two conversations have their first lines in common, and no turn.
        const anew = shared < before.length;
        const news = conversation.turns.filter(
          (turn) => turn.role === 'user' && turn.text.startsWith('What is new.'),
        ).length;
        replans += anew ? news : news - seen;
        seen = news;
        calls.push({ replan: replans, prompt: prompt.length, shared, everything: everythingOf(conversation), anew });
        before = prompt;
      }
      return script.answer(conversation);
    },
  };
}

/** In the order in which providers read a prompt. */
const rendered = ({ tools, system, turns }: Conversation): string =>
  `${tools.join('\n')}\n${system}\n${turns.map(turnText).join('\n')}\n`;

const turnText = (turn: Turn): string => {
  if (turn.role === 'user') return turn.text;
  if (turn.role === 'assistant') return `${turn.text}\n${turn.calls.map((call) => JSON.stringify(call)).join('\n')}`;
  return turn.results.map(({ output }) => output).join('\n');
};

function everythingOf({ tools, system, turns }: Conversation): number {
  const told = turns.reduce((sum, turn) => sum + (turn.role === 'user' ? turn.text.length : 0), 0);
  const plans = turns.flatMap((turn) => (turn.role === 'assistant' ? turn.calls : []));
  const newest = plans.findLast(({ name }) => name === 'submit_plan')?.arguments['scratchpad'];
  return tools.join('\n').length + system.length + told + (newest === undefined ? 0 : JSON.stringify(newest).length);
}

function commonPrefix(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a.charCodeAt(length) === b.charCodeAt(length)) length += 1;
  return length;
}
