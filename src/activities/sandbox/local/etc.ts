/** The /etc of sandboxes: what programs need to run, nothing that tells of the host's users or services. */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { cp, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { canBeCopied } from '../../support/readable.ts';

export const AGENT_UID = 1000;

const COPIED =
  /^(?:ld\.so\.cache|ld\.so\.conf|ld\.so\.conf\.d|alternatives|localtime|timezone|mime\.types|protocols|services|os-release|debian_version|magic|java-[\w.-]+|python[\d.]*|perl|terminfo|fonts)$/;

const WRITTEN: Readonly<Record<string, string>> = {
  passwd: `root:x:0:0:root:/root:/usr/sbin/nologin\nagent:x:${AGENT_UID}:${AGENT_UID}:agent:/home/agent:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n`,
  group: `root:x:0:\nagent:x:${AGENT_UID}:\nnogroup:x:65534:\n`,
  'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n',
  hosts: '127.0.0.1 localhost sandbox\n::1 localhost\n',
  'resolv.conf': '',
  gitconfig:
    '[user]\n\tname = agent\n\temail = agent@localhost\n[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n',
  empty: '',
};

/** Makes the folder below `root` once for each state of the host's /etc; returns its path. */
export async function makeEtc(root: string): Promise<string> {
  const names = (await readdir('/etc')).filter((name) => COPIED.test(name));
  const sources = [...names, 'ssl/certs', 'ssl/openssl.cnf', 'pki/tls/certs'].filter((name) =>
    existsSync(join('/etc', name)),
  );
  const state = sources.map((name) => [name, statSync(join('/etc', name)).mtimeMs]);
  const key = createHash('sha256')
    .update(JSON.stringify([state, WRITTEN]))
    .digest('hex')
    .slice(0, 16);
  const folder = join(root, `etc-${key}`);
  if (existsSync(folder)) return folder;
  const making = join(root, `.etc-${randomUUID()}`);
  await mkdir(making, { recursive: true });
  for (const name of sources) {
    await cp(join('/etc', name), join(making, name), {
      recursive: true,
      filter: canBeCopied,
      verbatimSymlinks: true,
      preserveTimestamps: true,
    });
  }
  for (const [name, text] of Object.entries(WRITTEN)) await writeFile(join(making, name), text, { mode: 0o644 });
  try {
    await rename(making, folder);
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}
