/**
 * The thread that workflows run in: the SDK's, with another way of keeping the call stacks of what workflows wait for.
 *
 * The SDK formats a stack, through the bundle's source map, for each promise that a workflow makes, in case somebody
 * asks for a `__stack_trace` before it is settled: a third of this thread's time. Here the stack is captured, and
 * formatted when it is asked for. The SDK also lets an aggregate (`Promise.race`) stand for the promises inside it; here
 * each is kept until it is settled, so a workflow that races again and again against one that stays pending would grow.
 */
import { promiseHooks } from 'node:v8';
import type { Context } from 'node:vm';
import { workerData } from 'node:worker_threads';
import { cutoffStackTrace } from '@temporalio/common';
import { ReusableVMWorkflowCreator } from '@temporalio/worker/lib/workflow/reusable-vm.js';
import { BaseVMWorkflow, globalHandlers } from '@temporalio/worker/lib/workflow/vm-shared.js';
import type { Activator } from '@temporalio/workflow/lib/internals.js';

/** What a thread is started with. */
export type WorkflowThreadData = {
  /** Whether the spans of workflows are sent anywhere, see workflows/interceptors.ts. */
  traced: boolean;
};

type Frames = NonNullable<typeof globalHandlers.currentStackTrace>;
type StackStore = Activator['promiseStackStore'];

/** What the SDK keeps of a promise's making, when it is looked at. */
class CapturedStack {
  readonly #at: Error;
  #read: { formatted: string; structured: Frames } | undefined;

  constructor(at: Error) {
    this.#at = at;
  }

  get formatted(): string {
    return this.#look().formatted;
  }

  get structured(): Frames {
    return this.#look().structured;
  }

  #look() {
    this.#read ??= readStack(this.#at);
    return this.#read;
  }
}

const HOOKS_OWN = /^Error\n\s*at [^\n]+\n(\s*at initAll \(node:internal\/promise_hooks:\d+:\d+\)\n)?/;
/** One of the promises by which `Promise.all` and its like wait: what they wait in stands for them. */
const INSIDE_AGGREGATE =
  /^\s+at\sPromise\.then \(<anonymous>\)\n\s+at (Function|Promise)\.(race|all|allSettled|any) \(<anonymous>\)\n/;

function readStack(at: Error): { formatted: string; structured: Frames } {
  // The SDK's way of formatting leaves the frames here.
  globalHandlers.currentStackTrace = undefined;
  const text = at.stack ?? '';
  const frames = (globalHandlers.currentStackTrace ?? []) as Frames;
  const formatted = cutoffStackTrace(text.replace(HOOKS_OWN, ''));
  if (INSIDE_AGGREGATE.test(formatted)) return { formatted: '', structured: [] };
  return { formatted, structured: workflowsOwn(frames) };
}

/** Without the hook's own frames, and those of the SDK that called into the workflow. */
function workflowsOwn(frames: Frames): Frames {
  const skipped = frames[1]?.function_name === 'initAll' ? 2 : 1;
  const rest = frames.slice(skipped);
  const end = rest.findIndex(({ function_name: name, file_path: file }) => {
    if (name === undefined || file === undefined) return false;
    if (/^Activator\.\S+NextHandler$/.test(name) && /[\\/]workflow[\\/](?:src|lib)[\\/]internals\.[jt]s$/.test(file))
      return true;
    return /Script\.runInContext/.test(name) && /^node:vm|vm\.js$/.test(file);
  });
  return end === -1 ? rest : rest.slice(0, end);
}

type Realm = { activator: () => Activator | undefined; Error: ErrorConstructor };
const realms = new WeakMap<Function, Realm>();

/** The workflows' side of a promise; none for this thread's own. */
function realmOf(promise: Promise<unknown>): Realm | undefined {
  const make = promise.constructor.constructor as FunctionConstructor;
  if (make === Function) return undefined;
  let realm = realms.get(make);
  if (realm === undefined) {
    const errors = make('return globalThis.Error') as () => ErrorConstructor;
    realm = { activator: make('return globalThis.__TEMPORAL_ACTIVATOR__') as Realm['activator'], Error: errors() };
    realms.set(make, realm);
  }
  return realm;
}

function followPromises(): void {
  promiseHooks.createHook({
    init(promise, parent) {
      const realm = realmOf(promise);
      const activator = realm?.activator();
      if (realm === undefined || activator === undefined) return;
      if ((promise as unknown) === parent) return;
      const { promiseToStack, childToParent } = activator.promiseStackStore as StackStore;
      promiseToStack.set(promise, new CapturedStack(new realm.Error()));
      const parents = childToParent.get(promise) ?? new Set();
      if (parent !== undefined) parents.add(parent as unknown as Promise<unknown>);
      childToParent.set(promise, parents);
    },
    settled(promise) {
      const store = realmOf(promise)?.activator()?.promiseStackStore;
      store?.childToParent.delete(promise);
      store?.promiseToStack.delete(promise);
    },
  });
  globalHandlers.promiseHookInstalled = true;
}

/** With each completion, so that nobody need ask for calls that there are none of: that is a round trip of messages. */
export type WithSinkCalls = { sinkCalls?: number };

function countSinkCalls(): void {
  const workflows = BaseVMWorkflow.prototype;
  const { activate } = workflows;
  workflows.activate = async function (this: BaseVMWorkflow, activation) {
    const completion = await activate.call(this, activation);
    const { sinkCalls } = (this as unknown as { activator: Activator }).activator;
    return Object.assign(completion, { sinkCalls: sinkCalls.length } satisfies WithSinkCalls);
  };
}

/** Says to all workflows that their spans go nowhere. */
function leaveUntraced(): void {
  const creator = ReusableVMWorkflowCreator.prototype as unknown as { injectGlobals(context: Context): void };
  const { injectGlobals } = creator;
  creator.injectGlobals = function (context) {
    injectGlobals.call(this, context);
    Object.defineProperty(context, '__AGENTSWARM_UNTRACED__', { value: true });
  };
}

Object.defineProperty(globalHandlers, 'setPromiseHook', { value: followPromises });
countSinkCalls();
if (!(workerData as WorkflowThreadData).traced) leaveUntraced();

await import('@temporalio/worker/lib/workflow/workflow-worker-thread.js');
