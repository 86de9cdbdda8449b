/** Runs one act in a process of its own, so that it can be killed: `node act-process.ts <state> <request>`. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { act } from '../../../src/activities/sandbox/act.ts';
import type { ActRequest } from '../../../src/shared/contracts/agent.ts';
import { depsAt } from './support.ts';

const [stateDir = '', request = ''] = process.argv.slice(2);
const deps = await depsAt(stateDir);
await new MockActivityEnvironment().run(() => act(deps, JSON.parse(request) as ActRequest));
