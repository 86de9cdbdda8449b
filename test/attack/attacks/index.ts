import type { Attack } from '../attack.ts';
import { GIT } from './git.ts';
import { HOST } from './host.ts';
import { KERNEL } from './kernel.ts';
import { OUTPUT } from './output.ts';
import { PACKS } from './packs.ts';
import { RESOURCES } from './resources.ts';
import { SHELLS } from './shells.ts';

export const ATTACKS: readonly Attack[] = [...HOST, ...GIT, ...PACKS, ...RESOURCES, ...KERNEL, ...OUTPUT, ...SHELLS];
