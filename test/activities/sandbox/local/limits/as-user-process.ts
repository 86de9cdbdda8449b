/** `as-user-process.ts <JSON>`: what as-user.ts starts. Prints what each command said. */
import { z } from 'zod';
import { findGroups } from '../../../../../src/activities/sandbox/local/limits/groups.ts';
import { testHost } from '../../support.ts';

const { limits, commands } = z
  .object({ limits: z.record(z.string(), z.number()), commands: z.record(z.string(), z.string()) })
  .parse(JSON.parse(process.argv[2] ?? ''));
const host = await testHost({ limits });
const id = await host.open();
const said: Record<string, string> = {};
for (const [name, command] of Object.entries(commands)) said[name] = (await host.bash(id, command)).output;
const { isolated } = host.provider;
await host.close();
const { kind } = findGroups({ memoryMb: 100, processes: 100 });
process.stdout.write(JSON.stringify({ uid: process.getuid?.(), kind, isolated, said }), () => process.exit(0));
