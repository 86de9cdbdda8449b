/** Recorded histories: how they are kept, and what is taken out of them. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { type History, historyFromJSON, historyToJSON } from '@temporalio/common/lib/proto-utils.js';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const SUFFIX = '.json.gz';

export type Recorded = { name: string; workflowId: string; type: string; json: unknown };

/** `workflowId` is read from the history's first event where it is needed: replays of the SDK make one up. */
export function recordedHistories(): Recorded[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith(SUFFIX))
    .sort()
    .map((file) => {
      const { workflowId, type, history } = JSON.parse(gunzipSync(readFileSync(join(FOLDER, file))).toString('utf8')) as {
        workflowId: string;
        type: string;
        history: unknown;
      };
      return { name: file.slice(0, -SUFFIX.length), workflowId, type, json: history };
    });
}

export const historyOf = ({ json }: Recorded): History => historyFromJSON(json);

/** Everything that can be read in a history: its strings, and its payloads decoded. */
export function readableText(json: unknown): string {
  const texts: string[] = [];
  visit(json, (text) => {
    texts.push(text);
    return text;
  });
  return texts.join('\n');
}

/** Writes `<name>.json.gz`, without this machine's folders and name. */
export function keep(name: string, recorded: { workflowId: string; type: string; history: History }): void {
  const { workflowId, type, history } = recorded;
  const json = visit(JSON.parse(historyToJSON(history)), neutral);
  const text = JSON.stringify({ workflowId: neutral(workflowId), type, history: json });
  writeFileSync(join(FOLDER, `${name}${SUFFIX}`), gzipSync(text, { level: 9 }));
}

function neutral(text: string): string {
  return text
    .replaceAll(`file://${CHECKOUT}/`, '')
    .replaceAll(`${CHECKOUT}/`, '')
    .replaceAll(/(?:file:\/\/)?\/[^\s()"'\\]*\/node_modules\//g, 'node_modules/')
    .replaceAll(new RegExp(`${escape(tmpdir())}/agentswarm-[\\w-]+`, 'g'), 'tmp')
    .replaceAll(new RegExp(`(\\d+)@${escape(hostname())}`, 'g'), '1@host');
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');

/** A copy with every string changed; the data of a payload is changed as the text that it is. */
function visit(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((item) => visit(item, change));
  if (typeof value !== 'object' || value === null) return value;
  const isPayload = 'metadata' in value && 'data' in value && typeof value.data === 'string';
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      if (!isPayload || (key !== 'data' && key !== 'metadata')) return [key, visit(item, change)];
      if (key === 'metadata') return [key, item];
      const text = Buffer.from(item as string, 'base64').toString('utf8');
      return [key, Buffer.from(change(text)).toString('base64')];
    }),
  );
}
