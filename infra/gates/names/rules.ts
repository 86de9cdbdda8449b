/** What the names and the places of `src` have to be; see docs/words.md and the table of rooms in AGENTS.md. */
import { posix } from 'node:path';
import ts from 'typescript';
import { importsOf, placeOf, type Source } from './source.ts';

/** What is wrong, and where; a sentence each. */
export type Violation = string;

/**
 * Names that two files define and export. A name that is exported again from where it is defined is not a second one.
 * Entry points that a tool finds by a fixed name are left out.
 */
export function exportedTwice(sources: readonly Source[], allowed: ReadonlySet<string> = new Set()): Violation[] {
  const places = new Map<string, string[]>();
  for (const source of sources) {
    const here = new Set<string>();
    for (const statement of source.tree.statements) {
      for (const name of exportedNames(statement)) {
        // A schema and the type inferred from it, and overloads, are one thing.
        if (here.has(name.text) || allowed.has(name.text)) continue;
        here.add(name.text);
        places.set(name.text, [...(places.get(name.text) ?? []), placeOf(source, name)]);
      }
    }
  }
  return [...places]
    .filter(([, found]) => found.length > 1)
    .map(([name, found]) => `\`${name}\` is exported by ${found.join(' and ')}: one name, one concept`);
}

function exportedNames(statement: ts.Statement): ts.Identifier[] {
  const modifiers = ts.canHaveModifiers(statement) ? (ts.getModifiers(statement) ?? []) : [];
  if (!modifiers.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) return [];
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.flatMap(({ name }) => bound(name));
  }
  if (
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement)
  ) {
    return statement.name === undefined ? [] : [statement.name];
  }
  return [];
}

function bound(name: ts.BindingName): ts.Identifier[] {
  if (ts.isIdentifier(name)) return [name];
  return name.elements.flatMap((element) => (ts.isBindingElement(element) ? bound(element.name) : []));
}

/**
 * Identifiers that say nothing to somebody who is new here. Names on the wire are left out where open runs hold them:
 * those are the properties named in `onTheWire`, as `word` → the files that read and write it.
 */
export function forbiddenWords(
  sources: readonly Source[],
  words: ReadonlyMap<string, string>,
  onTheWire: ReadonlyMap<string, ReadonlySet<string>> = new Map(),
): Violation[] {
  const violations: Violation[] = [];
  for (const source of sources) {
    const visit = (node: ts.Node): void => {
      if (ts.isIdentifier(node)) {
        const instead = words.get(node.text);
        const allowed = isProperty(node) && (onTheWire.get(node.text)?.has(source.path) ?? false);
        if (instead !== undefined && !allowed) {
          violations.push(`${placeOf(source, node)}: \`${node.text}\` as a name; say ${instead}`);
        }
      }
      ts.forEachChild(node, visit);
    };
    visit(source.tree);
  }
  return violations;
}

function isProperty(node: ts.Identifier): boolean {
  const { parent } = node;
  return (
    (ts.isPropertyAccessExpression(parent) && parent.name === node) ||
    (ts.isPropertyAssignment(parent) && parent.name === node) ||
    (ts.isPropertySignature(parent) && parent.name === node) ||
    (ts.isBindingElement(parent) && parent.propertyName === node)
  );
}

/**
 * Circles between files (types included), and between folders that stand side by side: an import counts for the two
 * folders in which the paths of its ends part. A folder and the folders inside it may know each other.
 */
export function importCircles(sources: readonly Source[]): Violation[] {
  const files = new Map<string, Set<string>>();
  const folders = new Map<string, Map<string, string>>();
  const known = new Set(sources.map(({ path }) => path));
  for (const source of sources) {
    const imported = importsOf(source).filter((path) => known.has(path));
    files.set(source.path, new Set(imported));
    for (const path of imported) {
      const [from, to] = partingFolders(source.path, path) ?? [];
      if (from === undefined || to === undefined) continue;
      const edges = folders.get(from) ?? new Map<string, string>();
      if (!edges.has(to)) edges.set(to, `${source.path} imports ${path}`);
      folders.set(from, edges);
    }
  }
  const between = new Map([...folders].map(([from, edges]) => [from, new Set(edges.keys())]));
  return [
    ...circles(files).map((circle) => `files import each other in a circle: ${circle.join(', ')}`),
    ...circles(between).map((circle) => {
      const why = circle.flatMap((from) =>
        [...(folders.get(from) ?? [])].filter(([to]) => circle.includes(to)).map(([, edge]) => edge),
      );
      return `rooms import each other in a circle: ${circle.join(', ')} (${why.join('; ')})`;
    }),
  ];
}

/** `src/a/x/1.ts` and `src/a/y/z/2.ts` part at `src/a/x` and `src/a/y`; null where one is a file beside the other. */
function partingFolders(from: string, to: string): [string, string] | null {
  const a = posix.dirname(from).split('/');
  const b = posix.dirname(to).split('/');
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a[i] !== b[i]) return [a.slice(0, i + 1).join('/'), b.slice(0, i + 1).join('/')];
  }
  return null;
}

/** The strongly connected parts of more than one node, by Tarjan's algorithm (SIAM J. Comput. 1 (1972) 146–160). */
function circles(graph: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (node: string): void => {
    order.set(node, order.size);
    low.set(node, order.get(node) ?? 0);
    stack.push(node);
    for (const next of graph.get(node) ?? []) {
      if (!order.has(next)) visit(next);
      if (stack.includes(next)) low.set(node, Math.min(low.get(node) ?? 0, low.get(next) ?? 0));
    }
    if (low.get(node) !== order.get(node)) return;
    const part = stack.splice(stack.indexOf(node));
    if (part.length > 1) found.push(part.sort());
  };
  for (const node of graph.keys()) if (!order.has(node)) visit(node);
  return found;
}

/** The table of rooms in AGENTS.md against the tree: every folder of `src` has a row, and every row a folder. */
export function roomsAgainstTree(agents: string, sources: readonly Source[]): Violation[] {
  const rows = new Set(
    [...agents.matchAll(/^\| `(src[^`]*)` \|/gm)].map(([, room]) => (room ?? '').replace(/\/$/, '')),
  );
  const present = new Set(sources.flatMap(({ path }) => roomOf(path)));
  return [
    ...[...present].filter((room) => !rows.has(room)).map((room) => `AGENTS.md has no row for \`${room}\``),
    ...[...rows]
      .filter((room) => !present.has(room))
      .map((room) => `AGENTS.md has a row for \`${room}\`, which is not there`),
  ];
}

/** A room is a folder of `src`, in the three layers a folder inside them, or a file at the root of either. */
function roomOf(path: string): string[] {
  const [, first = '', second = '', third] = path.split('/');
  if (second === '') return [`src/${first}`];
  if (!['shared', 'workflows', 'activities'].includes(first)) return [`src/${first}`];
  return third === undefined ? [`src/${first}`] : [`src/${first}`, `src/${first}/${second}`];
}
