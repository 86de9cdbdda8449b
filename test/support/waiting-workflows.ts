import { condition, defineSignal, proxyActivities, proxySinks, setHandler, sleep } from '@temporalio/workflow';

const { traceparent } = proxyActivities<{ traceparent(): Promise<string> }>({ startToCloseTimeout: '10s' });

async function eitherOf(): Promise<void> {
  await Promise.race([sleep('1 hour'), condition(() => false)]);
}

async function bothOf(): Promise<void> {
  await Promise.all([sleep('2 hours'), eitherOf()]);
}

/** Waits in several places at once, for ever. */
export async function waits(): Promise<void> {
  await sleep(1);
  await bothOf();
}

const fail = defineSignal('fail');

/** Rejects a promise that nobody looks at. */
export async function rejects(): Promise<string> {
  let failing = false;
  setHandler(fail, () => {
    failing = true;
  });
  await condition(() => failing);
  void Promise.reject(new Error('nobody looks at this'));
  await sleep(1);
  return 'went on';
}

/** The trace in which its activity runs. */
export const traces = (): Promise<string> => traceparent();

const { numbers } = proxySinks<{ numbers: { take(n: number): void } }>();

/** Calls a sink in some of its workflow tasks. */
export async function sinks(): Promise<void> {
  numbers.take(1);
  await sleep(1);
  await sleep(1);
  numbers.take(2);
  numbers.take(3);
  await sleep(1);
  await sleep(1);
  numbers.take(4);
}
