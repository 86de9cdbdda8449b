import { LineworkError } from './errors.ts';

export type Values = { readonly [name: string]: unknown };

/**
 * Replaces `{name}` and `{a.b}` by values; `{{` and `}}` stand for braces. Throws `missing-value` for a name
 * that has no value: a gap in a text is found late, by its reader.
 */
export function render(template: string, values: Values): string {
  return template.replace(/\{\{|\}\}|\{([^{}]+)\}/g, (token: string, path: string | undefined) => {
    if (path === undefined) return token === '{{' ? '{' : '}';
    const value = path
      .trim()
      .split('.')
      .reduce<unknown>((at, key) => (isRecord(at) && Object.hasOwn(at, key) ? at[key] : undefined), values);
    if (value === undefined || value === null) throw new LineworkError('missing-value', token);
    return String(value);
  });
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
