/** Which repository of a host a location names. Pure. */

export type HostedRepository = { owner: string; repo: string };

/**
 * @param location as git takes it: a URL, or `user@host:path`.
 * @param host of repositories, with its port where it has one; its ssh may be at `ssh.<host>`.
 * @returns null for a repository that is elsewhere, or that is not `owner/name` there.
 */
export function repositoryOn(host: string, location: string): HostedRepository | null {
  const scp = /^(?:[^@/]+@)?([^:/]+):(?!\/\/)(.+)$/.exec(location);
  const url = scp === null && URL.canParse(location) ? new URL(location) : null;
  const named = scp?.[1] ?? (url?.protocol === 'ssh:' ? url.hostname : url?.host);
  const path = scp?.[2] ?? url?.pathname;
  if (named === undefined || path === undefined) return null;
  if (![host, `ssh.${host}`].includes(named.toLowerCase())) return null;
  const [owner, repo, ...more] = path
    .replace(/^\/+|\/+$/g, '')
    .replace(/\.git$/, '')
    .split('/');
  const isName = (part: string | undefined): part is string => part !== undefined && /^[\w.-]+$/.test(part);
  return isName(owner) && isName(repo) && more.length === 0 ? { owner, repo } : null;
}
