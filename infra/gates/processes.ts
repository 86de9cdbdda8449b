import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';

/** The project's own commands and Node come first, however this was started. */
const environment = (root: string, extra: Record<string, string> = {}): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: [join(root, 'node_modules', '.bin'), process.env.PATH ?? ''].join(delimiter),
  ...extra,
});

/** Runs a command to its end; `output` is both of its outputs, interleaved as they came. */
export function runCaptured(command: readonly string[], root: string): Promise<{ ok: boolean; output: string }> {
  return new Promise((resolve) => {
    let output = '';
    const [file = '', ...args] = command;
    const child = spawn(file, args, { cwd: root, env: environment(root), stdio: ['ignore', 'pipe', 'pipe'] });
    const take = (chunk: Buffer): void => void (output += chunk.toString());
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', (error) => resolve({ ok: false, output: `${file} could not be started: ${error.message}` }));
    child.on('close', (code, signal) => {
      resolve({ ok: code === 0, output: signal === null ? output : `${output}\n${file} was ended by ${signal}` });
    });
  });
}

/** Runs a command that speaks for itself; resolves with its exit code, 1 when it was killed or did not start. */
export function runInherited(command: readonly string[], root: string, extra: Record<string, string>): Promise<number> {
  return new Promise((resolve) => {
    const [file = '', ...args] = command;
    const child = spawn(file, args, { cwd: root, env: environment(root, extra), stdio: 'inherit' });
    // The terminal's Ctrl-C reaches the child as well: it ends by itself, and its counts are still said.
    process.on('SIGINT', () => undefined);
    process.on('SIGTERM', () => child.kill('SIGTERM'));
    child.on('error', (error) => {
      process.stderr.write(`${file} could not be started: ${error.message}\n`);
      resolve(1);
    });
    child.on('close', (code) => resolve(code ?? 1));
  });
}
