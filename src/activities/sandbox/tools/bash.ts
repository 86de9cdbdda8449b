/** bash: a command at the root of the work tree, with all of its processes gone when it ends. */
import { commandTime } from './command-time.ts';
import { headAndTail } from './text.ts';
import { ok, type Tool, type ToolAnswer } from './tool.ts';

/** Linux takes at most 128 KiB in one argument. */
const MAX_ARGUMENT = 100 * 1024;

export const bash: Tool<'bash'> = {
  writes: true,
  async call({ command, timeoutSeconds = 120 }, context) {
    const { paths, run, network, outputBytes, outputFile, timeLeftMs, keepFile } = context;
    const { timeoutMs, stopped } = commandTime(timeoutSeconds, timeLeftMs);
    const argv =
      Buffer.byteLength(command) <= MAX_ARGUMENT
        ? ['/bin/bash', '-c', command]
        : ['/bin/bash', await keepFile(`${outputFile}.sh`, command)];
    const result = await run(argv, {
      combine: true,
      timeoutMs,
      headBytes: Math.ceil(outputBytes / 3),
      tailBytes: Math.floor((outputBytes * 2) / 3),
      outputFile,
      network,
    });
    const output = headAndTail(result, `${paths.output}/${outputFile}`);
    const limits = result.limits ?? [];
    const refused = result.refused ?? [];
    const answer = (status: 'ok' | 'error', ...notes: string[]): ToolAnswer => {
      const noteLines = [...notes, ...limits, ...refused].map((note) => `[${note}]`).join('\n');
      return {
        status,
        output: `${output}${output === '' || output.endsWith('\n') || noteLines === '' ? '' : '\n'}${noteLines}`,
      };
    };
    switch (result.reason) {
      case 'exit':
        if (result.exitCode !== 0) return answer('error', `The command ended with code ${result.exitCode}.`);
        return output === '' && limits.length + refused.length === 0 ? ok('[No output.]') : answer('ok');
      case 'timeout':
        return answer('error', stopped);
      case 'output-limit':
        return limits.length > 0
          ? answer('error')
          : answer('error', `The command was stopped: it wrote more than ${result.bytes} bytes.`);
      case 'aborted':
        return limits.length > 0 ? answer('error') : answer('error', 'The command was stopped.');
    }
  },
};
