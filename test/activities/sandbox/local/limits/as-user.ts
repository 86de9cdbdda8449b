/** A host with sandboxes in a process of an ordinary user, from a test that runs as root. */
import { spawnSync } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { SandboxLimits } from '../../../../../src/shared/config/worker-config.ts';

const NOBODY = 65_534;
const Ended = z.object({
  uid: z.number(),
  kind: z.string(),
  isolated: z.boolean(),
  said: z.record(z.string(), z.string()),
});

/** Runs the commands, one after the other, in one sandbox of that user's; resolves with what each said. */
export function runAsUser(
  limits: Partial<SandboxLimits>,
  commands: Readonly<Record<string, string>>,
): z.infer<typeof Ended> {
  const home = mkdtempSync('/var/tmp/agentswarm-user-');
  try {
    chownSync(home, NOBODY, NOBODY);
    const as = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups', '--'];
    const script = fileURLToPath(new URL('./as-user-process.ts', import.meta.url));
    const ran = spawnSync('setpriv', [...as, process.execPath, script, JSON.stringify({ limits, commands })], {
      cwd: home,
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: home, TMPDIR: home },
      encoding: 'utf8',
      timeout: 120_000,
    });
    if (ran.status !== 0) throw new Error(`the process of user ${NOBODY} ended with ${ran.status}: ${ran.stderr}`);
    return Ended.parse(JSON.parse(ran.stdout));
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}
