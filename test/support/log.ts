import type { Log } from '../../src/activities/support/log.ts';

export type LogLine = { level: 'debug' | 'info' | 'warn' | 'error'; fields: object; message: string };

/** A logger that keeps its lines. */
export function createTestLog(): Log & { lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: LogLine['level']) => (fields: object, message: string) =>
    void lines.push({ level, fields, message });
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
