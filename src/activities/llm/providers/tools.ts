/** The tools of src/shared/agent/tools.ts as providers want them: name, description, JSON schema. */
import { z } from 'zod';
import { FailureType, terminal } from '../../../shared/base/failures.ts';
import { isToolName, TOOLS } from '../../../shared/agent/tools.ts';

export type ToolDefinition = {
  readonly name: string;
  readonly description: string;
  readonly parameters: { readonly type: 'object'; readonly [keyword: string]: unknown };
};

const cache = new Map<string, ToolDefinition>();

/** Throws Invariant for a name that is not a tool: a workflow and its worker are of different versions. */
export function toolDefinitions(names: readonly string[]): ToolDefinition[] {
  return names.map((name) => cache.get(name) ?? define(name));
}

function define(name: string): ToolDefinition {
  if (!isToolName(name)) throw terminal(FailureType.Invariant, `There is no tool "${name}" to offer to a model.`);
  const { $schema: _, type: __, ...schema } = z.toJSONSchema(TOOLS[name].schema, { io: 'input' });
  const definition = { name, description: TOOLS[name].description, parameters: { type: 'object' as const, ...schema } };
  cache.set(name, definition);
  return definition;
}
