#!/usr/bin/env bash
# Told by Retry-After to wait for more than a minute, the openai SDK asks again within a second.
#
# Versions:   openai 7.57.0; beside it @anthropic-ai/sdk 1.12.0; Node 24.21.0.
# Documented: its README says "a short exponential backoff"; the comment at the place, "If the API asks us to wait a certain
#             amount of time, just do what it says". RFC 9110, 10.2.3: Retry-After says how long the user agent ought to
#             wait before it makes a follow-up request.
# Behaviour:  2 s are waited for. 61 s are not: the next request comes after some 0.4 to 0.5 s, as if nothing had been
#             said. The other SDK, whose code there is nearly the same, waits.
# So:         the longer a provider asks for rest, the sooner it is asked again: at a limit of tokens a day, or in a long
#             outage, the default of two retries is used up within two seconds.
#
# Output:
#   openai, Retry-After 2: second request after the time asked for
#   openai, Retry-After 61: second request before the time asked for
#   anthropic, Retry-After 2: second request after the time asked for
#   anthropic, Retry-After 61: no second request in 5 s
source "$(dirname "$0")/common.bash"
install node@24.21.0 openai@7.57.0 @anthropic-ai/sdk@1.12.0

cat >retry-after.mjs <<'JS'
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

let times = [];
let seconds = 0;
const server = createServer((request, response) => {
  request.resume();
  times.push(Date.now());
  response.writeHead(429, { 'content-type': 'application/json', 'retry-after': String(seconds) });
  response.end('{"error":{"type":"rate_limit_error","message":"Wait."}}');
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const origin = `http://127.0.0.1:${server.address().port}`;
const body = { model: 'm', max_tokens: 9, messages: [{ role: 'user', content: 'Hello' }] };
const openai = new OpenAI({ apiKey: 'key', baseURL: `${origin}/v1`, maxRetries: 1 });
const anthropic = new Anthropic({ apiKey: 'key', baseURL: origin, maxRetries: 1 });
const CLIENTS = {
  openai: (options) => openai.chat.completions.create(body, options),
  anthropic: (options) => anthropic.messages.create(body, options),
};
for (const [name, ask] of Object.entries(CLIENTS)) {
  for (seconds of [2, 61]) {
    times = [];
    const over = new AbortController();
    const asked = ask({ signal: over.signal }).catch(() => undefined);
    await Promise.race([asked, sleep(5_000)]);
    over.abort();
    await asked;
    const [first, second] = times;
    const when = second === undefined ? null : second - first < seconds * 1_000 ? 'before' : 'after';
    const said = when === null ? 'no second request in 5 s' : `second request ${when} the time asked for`;
    console.log(`${name}, Retry-After ${seconds}: ${said}`);
  }
}
server.closeAllConnections();
server.close();
JS
expect_seen "$(node retry-after.mjs)"
