/** Code for a sandbox on this host, and which transport a provider's sandboxes have. */
import { dirname, join } from 'node:path';
import type { SandboxProvider } from '../provider.ts';
import { gitFolders, writeGitFolder } from './git-folder.ts';
import { createRemoteTransport } from './remote-transport.ts';
import type { CodeTransport } from './transport.ts';

export const codeTransport = (provider: SandboxProvider): CodeTransport =>
  provider.remote === true ? createRemoteTransport(provider) : createLocalTransport(provider);

/** The mirror's objects are mounted: all that it has, and will have, is readable inside. */
function createLocalTransport(provider: SandboxProvider): CodeTransport {
  const gitFolder = (id: string) => join(dirname(provider.recordDir(id)), 'git');
  return {
    async prepare(_mirror, id, { commit, exclude }) {
      const { checkpoint, agent } = gitFolders({ objects: provider.paths(id).objects, head: commit, exclude });
      await writeGitFolder(gitFolder(id), checkpoint);
      await writeGitFolder(join(dirname(gitFolder(id)), 'workspace', '.git'), agent);
    },
    async provide() {},
    objects: (id) => join(gitFolder(id), 'objects'),
  };
}
