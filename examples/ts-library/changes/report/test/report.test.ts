import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  dedent,
  displayWidth,
  formatBytes,
  formatDuration,
  parseBytes,
  parseDuration,
  plural,
  render,
  table,
  truncate,
  unified,
  wrap,
} from 'linework';

const JOBS = [
  { name: 'compile everything', size: '1.5 MiB', time: '1m 5s' },
  { name: '翻訳', size: '900 KiB', time: '12s' },
];

test('modules together build a report that fits its width', () => {
  const rows = JOBS.map((job) => [truncate(job.name, 10), job.size, job.time]);
  const report = table(rows, { header: ['job', 'size', 'time'], align: ['left', 'right', 'right'] });
  assert.equal(
    report,
    dedent(`
      job            size   time
      ----------  -------  -----
      compile e…  1.5 MiB  1m 5s
      翻訳        900 KiB    12s
    `),
  );
  assert.deepEqual(new Set(report.split('\n').map(displayWidth)), new Set([26]));
});

test('sums are read and written by the same units', () => {
  const bytes = JOBS.reduce((sum, job) => sum + parseBytes(job.size), 0);
  const ms = JOBS.reduce((sum, job) => sum + parseDuration(job.time), 0);
  const text = render('{jobs}, {size} in {time}', {
    jobs: plural(JOBS.length, 'job'),
    size: formatBytes(bytes),
    time: formatDuration(ms),
  });
  assert.equal(text, '2 jobs, 2.4 MiB in 1m 17s');
  assert.equal(wrap(text, 12), '2 jobs, 2.4\nMiB in 1m\n17s');
});

test('two reports can be compared', () => {
  assert.equal(unified('a 1\nb 2\n', 'a 1\nb 3\n'), '@@ -1,2 +1,2 @@\n a 1\n-b 2\n+b 3');
});
