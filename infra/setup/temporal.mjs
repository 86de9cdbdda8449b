import { findServer } from '../temporal/find.mjs';

/**
 * @param {{ node: string, say: (line: string) => void }} options
 * @returns {Promise<string>} which server there is, in a few words
 */
export async function checkTemporal({ node, say }) {
  const address = process.env.TEMPORAL_ADDRESS;
  if (address !== undefined && address !== '') return `the server at ${address} (TEMPORAL_ADDRESS)`;
  const { file, version } = await findServer({ node, say });
  return `${version}, ${file}`;
}
