/** Whether patched files are still right to the compiler: a bug that it would find needs no test. */
import { join } from 'node:path';
import ts from 'typescript';

/**
 * Makes a function that checks files of a folder as they are now. The first call reads everything (seconds), later
 * ones only what changed.
 * @returns one message for each type error; empty when there is none.
 */
export function typeChecker(dir: string): (files: readonly string[]) => string[] {
  const configFile = join(dir, 'tsconfig.json');
  const { config } = ts.readConfigFile(configFile, ts.sys.readFile) as { config: object };
  // Only what can be patched: the tests are not changed.
  const { options, fileNames } = ts.parseJsonConfigFileContent({ ...config, include: ['src'] }, ts.sys, dir);
  const ours = join(dir, 'src/');
  const service = ts.createLanguageService({
    getCompilationSettings: () => ({ ...options, preserveSymlinks: false }),
    getScriptFileNames: () => fileNames,
    // By content: files change under our feet. Packages do not.
    getScriptVersion: (file) =>
      file.startsWith(ours) ? (ts.sys.createHash?.(ts.sys.readFile(file) ?? '') ?? '') : '0',
    getScriptSnapshot: (file) => {
      const text = ts.sys.readFile(file);
      return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
    },
    getCurrentDirectory: () => dir,
    getDefaultLibFileName: (settings) => ts.getDefaultLibFilePath(settings),
    fileExists: (file) => ts.sys.fileExists(file),
    readFile: (file) => ts.sys.readFile(file),
    readDirectory: (...args) => ts.sys.readDirectory(...args),
    directoryExists: (folder) => ts.sys.directoryExists(folder),
    getDirectories: (folder) => ts.sys.getDirectories(folder),
    realpath: (path) => ts.sys.realpath?.(path) ?? path,
  });
  return (files) =>
    files.flatMap((file) => {
      const path = join(dir, file);
      const found = [...service.getSyntacticDiagnostics(path), ...service.getSemanticDiagnostics(path)];
      return found.map(({ messageText }) => `${file}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`);
    });
}
