#!/usr/bin/env bash
# An answer of a model that is cut off half way is a whole one for a loop over the SDKs' streams: nothing is thrown.
#
# Versions:   openai 7.57.0, @anthropic-ai/sdk 1.12.0, Node 24.21.0.
# Documented: openai's README: "Pass an AbortSignal in the request's signal option to cancel a request, including while its
#             response body is being read." What a reader of the stream then sees is not said. The same signal, given
#             to fetch, makes the reading of a body throw.
# Behaviour:  a loop over `create({ stream: true })` ends as after the last event, with what came until then, when the
#             caller's signal aborts (a deadline), and when the server closes the response before the end of the answer
#             (no finish_reason and [DONE], no message_stop). The helper `stream()` of the same packages throws.
# So:         who reads such a stream has to ask `signal.aborted`, and to look for the end of the answer.
#
# Output:
#   openai create, signal aborts: no error, "half of an ans"
#   openai stream(), signal aborts: APIUserAbortError: Request was aborted.
#   anthropic create, signal aborts: no error, "half of an ans"
#   anthropic stream(), signal aborts: APIUserAbortError: Request was aborted.
#   openai create, server closes: no error, "half of an ans"
#   openai stream(), server closes: OpenAIError: missing finish_reason for choice 0
#   anthropic create, server closes: no error, "half of an ans"
#   anthropic stream(), server closes: AnthropicError: stream ended without producing a Message with role=assistant
source "$(dirname "$0")/common.bash"
install node@24.21.0 openai@7.57.0 @anthropic-ai/sdk@1.12.0

cat >cut-off.mjs <<'JS'
import { createServer } from 'node:http';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

const event = (data) => `${data.type === undefined ? '' : `event: ${data.type}\n`}data: ${JSON.stringify(data)}\n\n`;
const usage = { input_tokens: 1, output_tokens: 1 };
const message = { id: 'm', type: 'message', role: 'assistant', model: 'm', content: [], stop_reason: null, usage };
const choice = { index: 0, delta: { role: 'assistant', content: 'half of an ans' }, finish_reason: null };
const HALVES = {
  '/v1/chat/completions': [{ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [choice] }],
  '/v1/messages': [
    { type: 'message_start', message },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'half of an ans' } },
  ],
};
const server = createServer((request, response) => {
  request.resume();
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(HALVES[request.url].map(event).join(''));
  if (request.headers['x-server'] === 'closes') response.end();
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const origin = `http://127.0.0.1:${server.address().port}`;
const openai = new OpenAI({ apiKey: 'key', baseURL: `${origin}/v1`, maxRetries: 0 });
const anthropic = new Anthropic({ apiKey: 'key', baseURL: origin, maxRetries: 0 });
const body = { model: 'm', max_tokens: 9, messages: [{ role: 'user', content: 'Hello' }] };

const READERS = {
  'openai create': async (options, first) => {
    let text = '';
    for await (const { choices } of await openai.chat.completions.create({ ...body, stream: true }, options))
      first((text += choices[0].delta.content));
    return text;
  },
  'openai stream()': async (options, first) =>
    (await openai.chat.completions.stream(body, options).on('chunk', first).finalChatCompletion()).choices[0],
  'anthropic create': async (options, first) => {
    let text = '';
    for await (const { delta } of await anthropic.messages.create({ ...body, stream: true }, options))
      if (delta?.text !== undefined) first((text += delta.text));
    return text;
  },
  'anthropic stream()': (options, first) => anthropic.messages.stream(body, options).on('text', first).finalMessage(),
};
for (const what of ['signal aborts', 'server closes']) {
  for (const [name, read] of Object.entries(READERS)) {
    const caller = new AbortController();
    const options = { signal: caller.signal, headers: { 'x-server': what === 'server closes' ? 'closes' : 'waits' } };
    const first = () => what === 'signal aborts' && setTimeout(() => caller.abort(new Error('deadline')), 50);
    const outcome = await read(options, first).then(
      (text) => `no error, ${JSON.stringify(text)}`,
      (error) => `${error.constructor.name}: ${error.message}`,
    );
    console.log(`${name}, ${what}: ${outcome}`);
  }
}
server.closeAllConnections();
server.close();
JS
expect_seen "$(node cut-off.mjs)"
