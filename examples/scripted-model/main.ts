/** `node examples/scripted-model/main.ts --example NAME [--port N] …`: the scripted model as a process of its own. */
import { parseArgs } from 'node:util';
import { exampleNames, loadExample } from './example.ts';
import { DEFAULT_MODEL, startScriptedModel } from './server.ts';

const USAGE = `Usage: node examples/scripted-model/main.ts [options]
  --example NAME    ${exampleNames().join(' | ')} (default ts-library)
  --port N          default: a free one
  --latency-ms N    how long each answer takes (default 0)
  --api-key-env V   the variable that holds the one key that is let in (default: any key is)
  --log-file FILE   gets one line of JSON for each request that has ended`;

const whole = (name: string, text: string): number => {
  if (/^\d{1,7}$/.test(text)) return Number(text);
  throw new Error(`--${name} is "${text}"; it must be a whole number from 0`);
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      example: { type: 'string', default: 'ts-library' },
      port: { type: 'string', default: '0' },
      'latency-ms': { type: 'string', default: '0' },
      'api-key-env': { type: 'string' },
      'log-file': { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  const keyName = values['api-key-env'];
  const apiKey = keyName === undefined ? undefined : process.env[keyName];
  if (keyName !== undefined && !apiKey) throw new Error(`--api-key-env names ${keyName}, which is not set`);
  const example = await loadExample(values.example);
  const model = await startScriptedModel({
    script: example.script,
    port: whole('port', values.port),
    latencyMs: whole('latency-ms', values['latency-ms']),
    apiKey,
    logFile: values['log-file'],
  });
  const stop = (): void => {
    model.stop().then(() => process.exit(0), fail);
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  console.log(
    `A scripted model plays "${example.name}" at ${model.url} (OpenAI: ${model.url}/v1), as ${DEFAULT_MODEL}.`,
  );
}

function fail(error: unknown): never {
  console.error(`scripted model: ${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  process.exit(1);
}

main().catch(fail);
