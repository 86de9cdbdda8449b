/**
 * Run once per process, before any workflow. The SDK takes a stack trace of each promise that a workflow makes, for
 * the stack query: a third of the workflow thread's CPU with 100 agents. The frames nearest to an error are enough.
 */
Error.stackTraceLimit = 2;
