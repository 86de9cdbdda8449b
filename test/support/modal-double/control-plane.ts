/** The calls of Modal's control plane: apps, images, and sandboxes from their making to their end. */
import { type handleUnaryCall, status } from '@grpc/grpc-js';
import { type Answers, Refusal } from './answers.ts';
import { type Cloud, jwt } from './cloud.ts';
import type { Message } from './wire.ts';

const CREATE_IF_MISSING = 1;

export function controlPlane(cloud: Cloud, answers: Answers): Record<string, handleUnaryCall<Message, Message>> {
  const unary = (method: string, answer: (request: Message) => Message | Promise<Message>) => ({
    [method]: answers.unary(method, (request, call) => {
      answers.authenticate(call.metadata, method);
      return answer(request);
    }),
  });
  return {
    ...unary('AuthTokenGet', () => ({ token: jwt(1_200) })),
    ...unary('EnvironmentGetOrCreate', () => ({
      environmentId: 'en-1',
      metadata: { name: 'main', settings: { imageBuilderVersion: '2025.06' } },
    })),
    ...unary('AppGetOrCreate', ({ appName, objectCreationType }) => {
      if (objectCreationType === CREATE_IF_MISSING) cloud.apps.add(String(appName));
      if (!cloud.apps.has(String(appName))) throw new Refusal(status.NOT_FOUND, `App ${String(appName)} not found`);
      return { appId: `ap-${String(appName)}` };
    }),
    ...unary('ImageGetOrCreate', ({ image }) => {
      const imageId = `im-${(image as { dockerfileCommands: string[] }).dockerfileCommands.length}`;
      cloud.images.add(imageId);
      return { imageId, result: { status: 1 } };
    }),
    ...unary('ImageFromId', ({ imageId }) => {
      if (!cloud.images.has(String(imageId))) throw new Refusal(status.NOT_FOUND, `Image ${String(imageId)} not found`);
      return { imageId };
    }),
    ...unary('SandboxCreateV2', (request) => cloud.create(request)),
    ...unary('SandboxListV2', (request) => cloud.list(request)),
    ...unary('SandboxTagsGetV2', ({ sandboxId }) => ({ tags: cloud.sandbox(sandboxId).tags })),
    ...unary('SandboxTerminateV2', async ({ sandboxId }) => {
      await cloud.end(cloud.sandbox(sandboxId));
      return {};
    }),
    ...unary('SandboxWaitV2', ({ sandboxId }) => {
      const { result } = cloud.sandbox(sandboxId);
      return result === undefined ? {} : { result };
    }),
    ...unary('SandboxGetTaskIdV2', ({ sandboxId }) => {
      const { taskId, result } = cloud.sandbox(sandboxId);
      return result === undefined ? { taskId } : { taskResult: result };
    }),
    ...unary('SandboxGetFromNameV2', ({ sandboxName, appName }) => {
      const found = cloud
        .running()
        .find(({ appId, definition }) => definition.name === sandboxName && appId === `ap-${String(appName)}`);
      if (found === undefined) throw new Refusal(status.NOT_FOUND, `no sandbox named ${String(sandboxName)}`);
      return { sandboxId: found.id };
    }),
    ...unary('SandboxGetFromName', ({ sandboxName }) => {
      throw new Refusal(status.NOT_FOUND, `no sandbox named ${String(sandboxName)}`);
    }),
    ...unary('SandboxGetCommandRouterAccess', ({ sandboxId }) => cloud.access(cloud.sandbox(sandboxId))),
  };
}
