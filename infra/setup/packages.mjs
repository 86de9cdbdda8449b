import { which } from '../lib/run.mjs';

const MANAGERS = /** @type {const} */ ([
  ['apt-get', 'apt-get install -y'],
  ['dnf', 'dnf install -y'],
  ['apk', 'apk add'],
  ['pacman', 'pacman -S --noconfirm'],
  ['zypper', 'zypper install -y'],
]);

/**
 * The exact line that installs a system package here: `sudo apt-get install -y bubblewrap`.
 *
 * @param {string} name
 */
export function installLine(name) {
  const sudo = process.getuid?.() === 0 ? '' : 'sudo ';
  const manager = MANAGERS.find(([command]) => which(command) !== null);
  if (manager !== undefined) return `${sudo}${manager[1]} ${name}`;
  return process.platform === 'darwin' ? `brew install ${name}` : `${sudo}apt-get install -y ${name}`;
}

/** Whether a system package can be installed without asking for a password: root on a system with apt. */
export const canInstall = () => process.getuid?.() === 0 && which('apt-get') !== null;
