/** Attacks by what is said and how files are named. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Attack, type Ran, script } from '../attack.ts';
import type { Stage } from '../stage.ts';
import { call, type TestHost } from '../../activities/sandbox/support.ts';

/** Bytes that a terminal would obey, as text or as UTF-8: C0 but tab and line ends, DEL, C1. */
const OBEYED = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]|\u00c2[\u0080-\u009f]/;
const obeyed = (_: Stage, { output }: Ran): boolean => OBEYED.test(output);

const escape = (id: string, goal: string, bytes: string): Attack =>
  script('output', `terminal-${id}`, goal, `printf '${bytes}'`, { control: 'plain', judge: obeyed });

/** The answer of a tool about a file with this name, against a naive listing. */
function nameInAnswer(id: string, goal: string, tool: string, args: object): Attack {
  const name = "$'evil\\e]0;owned\\a\\xc2\\x9b31m'";
  return {
    id,
    category: 'output',
    goal,
    async control(stage) {
      return OBEYED.test((await stage.plain(`echo evil > ${name}; ls | cat`)).output);
    },
    async inside(stage) {
      const { isolated: host } = stage;
      const sandbox = await host.open();
      const { results } = await host.act(sandbox, stage.nextTurn(), [
        call('bash', { command: `echo evil > ${name}` }),
        call(tool, args),
      ]);
      await host.provider.terminate(sandbox);
      const said = results[1]?.output ?? '';
      if (!said.includes('evil')) throw new Error(`${tool} did not tell of the file: ${said}`);
      return OBEYED.test(said);
    },
  };
}

/** The answer is longer than a model should get, or not text. */
const long = (_: Stage, { output }: Ran): boolean => output.length > 200_000;
/** Lone halves of characters are no text to any protocol. */
const notText = (_: Stage, { output }: Ran): boolean =>
  [...output].some((char) => /[\ud800-\udfff]/.test(char)) ||
  /[\u0080-\u00bf]/.test(output) ||
  output.includes('\u0000');

const outputs: Attack[] = [
  escape('title', 'to rename the window of whoever reads the output', '\\033]0;owned\\a'),
  escape('clipboard', 'to fill their clipboard', '\\033]52;c;b3duZWQ=\\a'),
  escape('clear', 'to hide what was said before', '\\033[2J\\033[H'),
  escape('c1', 'the same by single bytes', '\\302\\2332J'),
  escape('bell', 'to ring and to erase', 'fine\\a\\b\\b\\b\\bevil'),
  escape('device', 'to have the terminal answer', '\\033[6n\\033P+q544e\\033\\\\'),
  nameInAnswer('escape-ls', 'the same by the name of a file, in `ls`', 'ls', {}),
  nameInAnswer('escape-find', 'the same in `find`', 'find', { pattern: 'evil*' }),
  nameInAnswer('escape-grep', 'the same in `grep`', 'grep', { pattern: 'evil' }),
  script('output', 'endless', 'output without end', 'yes | head -c 30000000', { control: 'plain', judge: long }),
  script('output', 'one-line', 'one line without end', "head -c 3000000 /dev/zero | tr '\\0' x", {
    control: 'plain',
    judge: long,
  }),
  script('output', 'errors', 'the same as errors', 'yes | head -c 3000000 >&2', { control: 'unsafe', judge: long }),
  script('output', 'nul', 'bytes that are no text', "printf 'a\\0b\\200\\377'", { control: 'plain', judge: notText }),
  script(
    'output',
    'half',
    'half a character where it is cut',
    "printf 'é%.0s' $(seq 60000) | head -c 100001; printf '\\360\\237'",
    { control: 'plain', judge: notText },
  ),
].map((attack) => (attack.id === 'errors' ? withControl(attack) : attack));

/** runProcess keeps the end of errors only; a naive runner keeps all. */
function withControl(attack: Attack): Attack {
  return {
    ...attack,
    control: async (stage) => (await stage.plain('yes | head -c 3000000 2>&1')).output.length > 200_000,
  };
}

/** A work tree with these names, stored and read back from the remote by the product. */
function named(
  id: string,
  goal: string,
  make: string,
  bytes: Buffer,
  control: (stage: Stage) => Promise<boolean>,
): Attack {
  return {
    id,
    category: 'file names',
    goal,
    control,
    async inside(stage) {
      const { isolated: host } = stage;
      const sandbox = await host.open();
      const prey = join(stage.outside, 'prey');
      writeFileSync(prey, '');
      await host.bash(sandbox, make);
      const { commit = '' } = await host.collect(sandbox);
      await host.provider.terminate(sandbox);
      const listed = Buffer.from(host.origin.git('-c', 'core.quotePath=true', 'ls-tree', '-r', '--name-only', commit));
      const wanted = quoted(bytes);
      return !listed.includes(wanted) || !existsSync(prey) || (await host.provider.has(sandbox));
    },
  };
}

/** As git writes a path with `core.quotePath`. */
function quoted(bytes: Buffer): string {
  const text = [...bytes]
    .map((byte) =>
      byte === 10
        ? '\\n'
        : byte === 34
          ? '\\"'
          : byte === 92
            ? '\\\\'
            : byte < 32 || byte > 126
              ? `\\${byte.toString(8).padStart(3, '0')}`
              : String.fromCharCode(byte),
    )
    .join('');
  return /[\\"]/.test(text) ? `"${text}"` : text;
}

/** Lists by lines, and acts on each: what most scripts do. */
const byLines =
  (make: string, lost: (stage: Stage, said: string) => boolean) =>
  async (stage: Stage): Promise<boolean> => {
    const prey = join(stage.outside, 'prey');
    writeFileSync(prey, '');
    const { output } = await stage.plain(
      `git init -q .; ${make}; cd . && git add -A; git -c core.quotePath=false ls-files | while read -r f; do if [ -e "$f" ]; then rm -f -- "$f"; else echo "lost: $f"; fi; done; ls`,
    );
    return lost(stage, output);
  };

const names: Attack[] = [
  named(
    'newline',
    'a name with a new line, that reads as two',
    "printf x > $'one\\ntwo'",
    Buffer.from('one\ntwo'),
    byLines("printf x > $'one\\ntwo'", (_, said) => said.includes('lost:')),
  ),
  {
    ...named(
      'newline-path',
      'a name whose second line is a path of the host',
      "mkdir -p $'a\\n'; echo x > $'a\\n/b'",
      Buffer.from('a\n/b'),
      () => Promise.resolve(true),
    ),
    async control(stage) {
      const prey = join(stage.outside, 'prey');
      writeFileSync(prey, '');
      await stage.plain(
        `mkdir -p $'a\\n'${stage.outside}; echo x > $'a\\n'${prey}; find . -type f | while read -r f; do rm -f -- "$f"; done`,
      );
      return !existsSync(prey);
    },
  },
  named(
    'not-utf8',
    'a name that is no text',
    "printf x > $'caf\\xe9'",
    Buffer.from([0x63, 0x61, 0x66, 0xe9]),
    async (stage) => {
      const dir = stage.scratch();
      await stage.plain(`printf x > ${dir}/$'caf\\xe9'`);
      return readdirSync(dir).every((name) => !existsSync(join(dir, name)));
    },
  ),
  named('option', 'a name that is an option', 'printf x > ./-rf', Buffer.from('-rf'), async (stage) => {
    const dir = stage.scratch();
    mkdirSync(join(dir, 'keep'));
    await stage.plain(`cd ${dir}; printf x > ./-rf; rm *`);
    return !existsSync(join(dir, 'keep'));
  }),
  named(
    'quote',
    'a name that ends a quotation',
    `printf x > "it's\\$(touch evil)\\"\\\\"`,
    Buffer.from(`it's$(touch evil)"\\`),
    async (stage) => {
      const dir = stage.scratch();
      await stage.plain(`cd ${dir}; printf x > 'a; touch evil; b'; for f in *; do sh -c "cat $f"; done`);
      return existsSync(join(dir, 'evil'));
    },
  ),
  named(
    'longest',
    'the longest name that there is',
    'printf x > $(printf "n%.0s" $(seq 255))',
    Buffer.from('n'.repeat(255)),
    async (stage) => {
      const dir = stage.scratch();
      await stage.plain(`cd ${dir}; printf x > $(printf "n%.0s" $(seq 255)); for f in *; do cp "$f" "$f.bak"; done`);
      return readdirSync(dir).length === 1;
    },
  ),
  {
    id: 'deep',
    category: 'file names',
    goal: 'a folder too deep to be deleted by its path',
    async control(stage) {
      const dir = stage.scratch();
      await stage.plain(`cd ${dir}; for i in $(seq 60); do mkdir ${'d'.repeat(200)} && cd ${'d'.repeat(200)}; done`);
      try {
        deleteByPath(dir);
      } catch {
        // The path is too long.
      }
      const left = existsSync(dir);
      await stage.plain(`rm -rf ${dir}`);
      return left;
    },
    inside: async (stage) =>
      leftover(stage.isolated, `for i in $(seq 60); do mkdir ${'d'.repeat(200)} && cd ${'d'.repeat(200)}; done`),
  },
  {
    id: 'unwritable',
    category: 'file names',
    goal: 'a folder that nobody may change, left behind for ever',
    root: true,
    async control(stage) {
      const dir = stage.scratch();
      await stage.plain(`cd ${dir}; touch kept; chattr +i kept`);
      rmSync(dir, { recursive: true, force: true, maxRetries: 0 });
      return false;
    },
    inside: async (stage) => leftover(stage.isolated, 'mkdir ro; touch ro/kept; chattr +i ro/kept; chmod 000 ro'),
  },
];
const unwritable = names.find(({ id }) => id === 'unwritable');
if (unwritable !== undefined)
  unwritable.control = async (stage) => {
    const dir = stage.scratch();
    const { output } = await stage.plain(
      `cd ${dir}; touch kept; chattr +i kept && ! rm -f kept 2>/dev/null && echo stays; chattr -i kept; rm -f kept`,
    );
    return output.includes('stays');
  };

function deleteByPath(dir: string): void {
  for (const name of readdirSync(dir)) {
    const path = join(dir, name);
    deleteByPath(path);
  }
  rmSync(dir, { recursive: false, force: false });
}

async function leftover(host: TestHost, command: string): Promise<boolean> {
  const sandbox = await host.open();
  await host.bash(sandbox, command);
  await host.provider.terminate(sandbox).catch(() => undefined);
  const trash = join(host.stateDir, 'trash');
  return (
    (await host.provider.has(sandbox)) ||
    (existsSync(trash) && readdirSync(trash).some((name) => name.startsWith(sandbox)))
  );
}

export const OUTPUT: readonly Attack[] = [...outputs, ...names];
