/** The benchmark's model server as a process of its own. Arguments: agents, turns, latency in ms. */
import { startScriptedModel } from '../../examples/scripted-model/server.ts';
import { overheadScript } from './script.ts';

const [agents = 0, turns = 0, latencyMs = 0] = process.argv.slice(2).map(Number);
const model = await startScriptedModel({ script: overheadScript({ agents, turns }), latencyMs });
process.send?.({ url: model.url });
process.on('disconnect', () => process.exit(0));
