// A coding agent in a few lines, run in sandboxes by tests: asks over OpenAI's protocol, writes files, ends with words.
import { readFileSync, writeFileSync } from 'node:fs';

const { AGENTSWARM_TASK_FILE = '', OPENAI_BASE_URL, OPENAI_API_KEY, OPENAI_MODEL } = process.env;
/** @typedef {{ content: string, tool_calls?: { id: string, function: { arguments: string } }[] }} Said */
/** @type {object[]} */
const messages = [{ role: 'user', content: readFileSync(AGENTSWARM_TASK_FILE, 'utf8') }];
const tools = [{ type: 'function', function: { name: 'write', parameters: { type: 'object' } } }];
// What an agent might do with its key: none of it may open anything afterwards.
console.log(`my key is ${OPENAI_API_KEY}`);
for (;;) {
  const response = await fetch(`${OPENAI_BASE_URL}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${OPENAI_API_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: OPENAI_MODEL, messages, tools }),
  });
  if (!response.ok) {
    console.log(`refused: ${await response.text()}`);
    process.exit(response.status === 403 ? 0 : 1);
  }
  const answer = /** @type {{ choices: [{ message: Said }] }} */ (await response.json());
  const { message } = answer.choices[0];
  messages.push(message);
  if (!message.tool_calls?.length) {
    console.log(message.content);
    break;
  }
  for (const { id, function: call } of message.tool_calls) {
    const { path, content } = /** @type {{ path: string, content: string }} */ (JSON.parse(call.arguments));
    writeFileSync(path, content);
    messages.push({ role: 'tool', tool_call_id: id, content: 'Written.' });
  }
}
