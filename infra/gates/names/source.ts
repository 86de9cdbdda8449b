import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, sep } from 'node:path';
import ts from 'typescript';

/** A source file of the product, parsed. `path` is from the root of the checkout, with slashes. */
export type Source = { path: string; tree: ts.SourceFile };

/** Every TypeScript file below a folder of the checkout, in the order of their paths. */
export function readSources(root: string, folder: string): Source[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .sort()
    .map((name) =>
      parseSource(`${folder}/${name.split(sep).join('/')}`, readFileSync(join(root, folder, name), 'utf8')),
    );
}

export function parseSource(path: string, text: string): Source {
  return { path, tree: ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true) };
}

/** Where a node begins, as `path:line`. */
export function placeOf({ path, tree }: Source, node: ts.Node): string {
  return `${path}:${tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1}`;
}

/** The files of the product that one imports by a relative path, types included. */
export function importsOf({ path, tree }: Source): string[] {
  return ts
    .preProcessFile(tree.text)
    .importedFiles.map(({ fileName }) => fileName)
    .filter((name) => name.startsWith('.'))
    .map((name) => posix.join(dirname(path), name));
}
