/** Messages that cannot be decoded: an input fails its workflow, an update or query is refused, a signal is dropped. */
import { log, type WorkflowInterceptorsFactory } from '@temporalio/workflow';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import { Undecodable } from './payload-converter.ts';

/** What a person sends: Temporal's clients encode it like this by themselves. */
const REMEDY = 'Send JSON with the encoding json/plain, through the codecs that the workers use if they have some.';

function unreadable(args: readonly unknown[]): string | undefined {
  for (const [i, arg] of args.entries()) {
    if (arg instanceof Undecodable) return `argument ${i + 1} cannot be decoded (${arg.reason})`;
  }
  return undefined;
}

function refuse(what: string, args: readonly unknown[]): void {
  const why = unreadable(args);
  if (why !== undefined) throw terminal(FailureType.BadInput, `${what} is not usable: ${why}.`, REMEDY);
}

export const interceptors: WorkflowInterceptorsFactory = () => ({
  inbound: [
    {
      async execute(input, next) {
        refuse('The input of the workflow', input.args);
        return await next(input);
      },
      async handleSignal(input, next) {
        const why = unreadable(input.args);
        if (why === undefined) await next(input);
        else log.warn('a signal is dropped: its argument is not usable', { signal: input.signalName, issues: why });
      },
      validateUpdate(input, next) {
        refuse(`The update "${input.name}"`, input.args);
        next(input);
      },
      // For those without a validator.
      async handleUpdate(input, next) {
        refuse(`The update "${input.name}"`, input.args);
        return await next(input);
      },
      async handleQuery(input, next) {
        refuse(`The query "${input.queryName}"`, input.args);
        return await next(input);
      },
    },
  ],
});
