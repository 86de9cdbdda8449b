/** The worker's connection to Modal: its token, the app that sandboxes belong to, their image. */
import type { App, Image, ModalClient } from 'modal';
import type { ModalConfig } from '../../../shared/config/worker-config.ts';
import { FailureType, terminal } from '../../../shared/base/failures.ts';
import type { Log } from '../../support/log.ts';
import { createScrub, modalFailure, type Scrub, statusOf } from './errors.ts';
import { findImage, type ImageSource } from './image.ts';

/** How long the SDK obeys a "try again later" of Modal's. */
const MAX_THROTTLE_SECONDS = 120;

export type ModalConnection = {
  client: ModalClient;
  app: App;
  scrub: Scrub;
  /** Built on Modal by whoever asks first; a build that failed is tried again. */
  image(): Promise<Image>;
};

type ConnectOptions = {
  config: ModalConfig;
  /** The worker's; the token is taken from it, and from nowhere else. */
  env: Readonly<Record<string, string | undefined>>;
  log: Log;
};

/** @throws SandboxUnavailable when there is no token. Nothing is asked of Modal yet. */
async function createClient({ config, env, log }: ConnectOptions): Promise<{ client: ModalClient; scrub: Scrub }> {
  const tokenId = env.MODAL_TOKEN_ID;
  const tokenSecret = env.MODAL_TOKEN_SECRET;
  if (!tokenId || !tokenSecret) {
    throw terminal(
      FailureType.SandboxUnavailable,
      `sandbox.provider is "modal", but ${tokenId ? 'MODAL_TOKEN_SECRET is' : 'MODAL_TOKEN_ID is'} not set in the worker's environment.`,
      'Make a token (modal token new, or the dashboard of Modal) and set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET where the worker runs; or set sandbox.provider to "local".',
    );
  }
  const scrub = createScrub([tokenSecret, tokenId]);
  const say = (level: 'warn' | 'error') => (message: string) => log[level]({ modal: scrub(message) }, 'Modal says');
  // 2.5 MB that only those load who use it.
  const { ModalClient } = await import('modal');
  const client = new ModalClient({
    tokenId,
    tokenSecret,
    maxThrottleWaitSecs: MAX_THROTTLE_SECONDS,
    logger: { debug() {}, info() {}, warn: say('warn'), error: say('error') },
    ...(config.environment === undefined ? {} : { environment: config.environment }),
  });
  return { client, scrub };
}

async function findApp(options: ConnectOptions, createIfMissing: boolean) {
  const { client, scrub } = await createClient(options);
  const { app: name } = options.config;
  try {
    return { client, scrub, app: await client.apps.fromName(name, { createIfMissing }) };
  } catch (error) {
    if (!createIfMissing && statusOf(error) === 'NOT_FOUND') return { client, scrub, app: null };
    throw modalFailure(`looking up app ${name} on Modal`, error, scrub);
  }
}

/**
 * Asks Modal for the app, and changes nothing there.
 * @returns whether the app is there already.
 * @throws SandboxUnavailable when there is no token, or Modal does not take it; what else Modal says as an Error.
 */
export async function probeModal(options: ConnectOptions): Promise<{ appIsThere: boolean }> {
  const { client, app } = await findApp(options, false);
  client.close();
  return { appIsThere: app !== null };
}

/** @throws SandboxUnavailable when there is no token, or Modal does not take it. */
export async function connectModal(options: ConnectOptions & { source: ImageSource }): Promise<ModalConnection> {
  const { client, scrub, app } = await findApp(options, true);
  if (app === null) throw new Error(`Modal neither has the app ${options.config.app} nor made it`);
  let building: Promise<Image> | undefined;
  return {
    client,
    app,
    scrub,
    async image() {
      building ??= findImage(client, options.source).then((image) => image.build(app));
      try {
        return await building;
      } catch (error) {
        building = undefined;
        throw error;
      }
    },
  };
}
