/**
 * Run once per process, before any workflow: what all workflows share.
 *
 * The SDK takes a stack trace of each promise that a workflow makes, for the stack query: 7 of the workflow thread's
 * 22 s of CPU with 60 agents and 12 turns. The frames nearest to an error are enough.
 *
 * Schemas are data, but some hundreds of objects each time that they are made: 14 of the 17 ms of CPU that starting a
 * workflow took, and most of what the garbage collector of its thread had to do.
 */
import '../../shared/agent/failure.ts';
import '../../shared/contracts/agent-run.ts';
import '../../shared/contracts/checks.ts';
import '../../shared/contracts/conflict.ts';
import '../../shared/contracts/deliver.ts';
import '../../shared/contracts/gate.ts';
import '../../shared/contracts/merge.ts';
import '../../shared/contracts/people.ts';
import '../../shared/contracts/plan.ts';
import '../../shared/contracts/results.ts';
import '../../shared/contracts/run.ts';
import '../../shared/contracts/sandbox.ts';
import '../../shared/contracts/sweep.ts';
import '../../shared/contracts/task.ts';
import '../../shared/contracts/run-settings.ts';
import '../../shared/agent/tools.ts';

declare const __webpack_modules__: Record<string, unknown>;

Error.stackTraceLimit = 2;

/**
 * The SDK freezes what workflows share, all the way down, unless it is frozen already. Schemas keep what they have
 * computed in themselves, the same for every workflow, so only the modules' own records are frozen.
 */
const loaded = (globalThis as unknown as { __webpack_module_cache__: Record<string, object | undefined> })
  .__webpack_module_cache__;
for (const id of Object.keys(__webpack_modules__)) {
  const module = /\/(?:shared|zod)\//.test(id) ? loaded[id] : undefined;
  if (module !== undefined) Object.freeze(module);
}
