/** A provider that stands on a Modal of the test's own, reached through the real SDK. */
import { join } from 'node:path';
import { createModalProvider } from '../../../../src/activities/sandbox/modal/provider.ts';
import { Config, type ConfigInput } from '../../../../src/shared/config/worker-config.ts';
import type { NetworkSetting } from '../../../../src/shared/contracts/network.ts';
import { createTestLog } from '../../../support/log.ts';
import { ModalDouble } from '../../../support/modal-double/server.ts';
import { temporaryFolder } from '../../../support/repos.ts';

export type ModalSetting = NonNullable<NonNullable<ConfigInput['sandbox']>['modal']>;
export const TOKEN = { id: 'ak-4Zq/test+id=', secret: 'as-9Xw/test+secret=' };

/** The SDK reads the server's address from the process's environment when its client is made, and only then. */
export async function connectTo<T>(url: string | undefined, connect: () => Promise<T>): Promise<T> {
  const before = process.env.MODAL_SERVER_URL;
  if (url === undefined) delete process.env.MODAL_SERVER_URL;
  else process.env.MODAL_SERVER_URL = url;
  try {
    return await connect();
  } finally {
    if (before === undefined) delete process.env.MODAL_SERVER_URL;
    else process.env.MODAL_SERVER_URL = before;
  }
}

export async function modalHost(options: { modal?: ModalSetting; limits?: object; network?: NetworkSetting } = {}) {
  const folder = temporaryFolder('agentswarm-modal-');
  const double = await ModalDouble.start(join(folder.dir, 'modal'), TOKEN);
  const { sandbox } = Config.parse({ sandbox: { modal: options.modal ?? {}, limits: options.limits ?? {} } });
  const log = createTestLog();
  /** Another process of a host, or of another one, on the same Modal. */
  const provider = (stateDir = join(folder.dir, 'state'), owner = 'host-a', token = TOKEN) =>
    connectTo(double.url, () =>
      createModalProvider({
        stateDir,
        owner,
        config: sandbox.modal,
        limits: sandbox.limits,
        network: options.network ?? 'none',
        env: { MODAL_TOKEN_ID: token.id, MODAL_TOKEN_SECRET: token.secret },
        log,
      }),
    );
  return {
    double,
    log,
    folder: folder.dir,
    provider,
    async close() {
      await double.close();
      folder.remove();
    },
  };
}
export type ModalHost = Awaited<ReturnType<typeof modalHost>>;
