/** The calls of Modal's command router: commands in sandboxes, their streams, folders kept and mounted. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type handleServerStreamingCall, type handleUnaryCall, type ServerWritableStream, status } from '@grpc/grpc-js';
import { type Answers, asStatus, Refusal } from './answers.ts';
import type { Cloud, DoubleSandbox } from './cloud.ts';
import { Exec } from './execs.ts';
import type { Message } from './wire.ts';

type StdioCall = ServerWritableStream<Message, Message>;
type Handlers = Record<string, handleUnaryCall<Message, Message> | handleServerStreamingCall<Message, Message>>;

export function router(cloud: Cloud, answers: Answers): Handlers {
  const unary = (method: string, answer: (request: Message, sandbox: DoubleSandbox) => Message | Promise<Message>) => ({
    [method]: answers.unary(method, (request, call) => answer(request, cloud.task(request, call.metadata))),
  });
  return {
    ...unary('TaskExecStart', (request, sandbox) => execStart(request, sandbox)),
    ...unary('TaskExecStdinWrite', async (request, sandbox) => {
      const { offset, data, eof } = request as { offset: number; data: Buffer; eof: boolean };
      await exec(sandbox, request).write(offset, Buffer.from(data), eof);
      return {};
    }),
    ...unary('TaskExecWait', async (request, sandbox) => await exec(sandbox, request).exited),
    ...unary('TaskSnapshotDirectory', ({ path, snapshotId }, sandbox) => {
      const imageId = `im-${String(snapshotId)}`;
      mkdirSync(join(cloud.dir, 'images'), { recursive: true });
      sandbox.container.copyOut(String(path), join(cloud.dir, 'images', imageId));
      cloud.images.add(imageId);
      return { imageId };
    }),
    ...unary('TaskMountDirectory', ({ path, imageId }, sandbox) => {
      const from = join(cloud.dir, 'images', String(imageId));
      if (!existsSync(from)) throw new Refusal(status.NOT_FOUND, `Image ${String(imageId)} not found`);
      sandbox.container.copyIn(from, String(path));
      return {};
    }),
    ...unary('TaskUnmountDirectory', ({ path }, sandbox) => {
      sandbox.container.empty(String(path));
      return {};
    }),
    TaskExecStdioRead: (call: StdioCall) => {
      const { request } = call;
      answers.record('TaskExecStdioRead', request, call.metadata);
      void stream(cloud, answers, call).catch((error: unknown) => call.emit('error', asStatus(error)));
    },
  };
}

async function stream(cloud: Cloud, answers: Answers, call: StdioCall): Promise<void> {
  const { request } = call;
  const fault = answers.takeFault('TaskExecStdioRead');
  const sandbox = cloud.task(request, call.metadata);
  const { offset, fileDescriptor } = request as { offset: number; fileDescriptor: number };
  let left = fault?.afterBytes ?? 0;
  for await (const data of exec(sandbox, request).read(fileDescriptor, offset)) {
    if (call.cancelled) return;
    const part = fault === undefined ? data : data.subarray(0, left);
    left -= part.length;
    if (part.length > 0 && !call.write({ data: part })) await new Promise((resolve) => call.once('drain', resolve));
    if (fault !== undefined && left <= 0) throw new Refusal(fault.code, fault.details ?? 'a fault that was asked for');
  }
  if (fault !== undefined) throw new Refusal(fault.code, fault.details ?? 'a fault that was asked for');
  if (sandbox.result !== undefined) throw new Refusal(status.NOT_FOUND, 'the task has ended');
  call.end();
}

function execStart(request: Message, sandbox: DoubleSandbox): Message {
  const { execId, commandArgs, workdir, timeoutSecs } = request as {
    execId: string;
    commandArgs: string[];
    workdir?: string;
    timeoutSecs?: number;
  };
  // A client that had no answer asks again.
  if (sandbox.execs.has(execId)) return {};
  const env = { MODAL_SANDBOX_ID: sandbox.id, MODAL_TASK_ID: sandbox.taskId, IMAGE_SAYS: 'hello' };
  const child = sandbox.container.spawn(commandArgs, { cwd: workdir || '/', env });
  sandbox.execs.set(execId, new Exec(child, timeoutSecs === 0 ? undefined : timeoutSecs));
  return {};
}

function exec(sandbox: DoubleSandbox, { execId }: Message): Exec {
  const found = sandbox.execs.get(String(execId));
  if (found === undefined) throw new Refusal(status.NOT_FOUND, `Exec ${String(execId)} not found`);
  return found;
}
