/** Which image sandboxes on Modal have: the lines of `infra/modal/Dockerfile`, which Modal builds once. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Image, ModalClient } from 'modal';

const DOCKERFILE = new URL('../../../../infra/modal/Dockerfile', import.meta.url);

export type ImageSource = { kind: 'id'; imageId: string } | { kind: 'build'; from: string; commands: string[] };

/** @param image `sandbox.modal.image`: the id of an image that is ready (`im-…`), or a registry tag to build on. */
export function imageSource(image: string | undefined): ImageSource {
  if (image?.startsWith('im-') === true) return { kind: 'id', imageId: image };
  const instructions = readFileSync(DOCKERFILE, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const from = instructions.find((line) => line.startsWith('FROM '))?.slice('FROM '.length);
  if (from === undefined) throw new Error(`${DOCKERFILE.pathname} has no FROM`);
  return { kind: 'build', from: image ?? from, commands: instructions.filter((line) => !line.startsWith('FROM ')) };
}

/** Not built yet where it needs to be: the first sandbox waits for that. */
export async function findImage(client: ModalClient, source: ImageSource): Promise<Image> {
  if (source.kind === 'id') return await client.images.fromId(source.imageId);
  return client.images.fromRegistry(source.from).dockerfileCommands(source.commands);
}

/** Changes when what a sandbox offers changes. A registry tag that moves does not show. */
export const imageFingerprint = (source: ImageSource): string =>
  createHash('sha256')
    .update(JSON.stringify(['modal', source]))
    .digest('hex');
