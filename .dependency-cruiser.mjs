/** The layers of the project: imports go one way. Each rule's comment is the message of its violation. */

/** Node's modules that do I/O or differ from run to run. */
const IO_MODULES =
  '^(node:)?(fs|net|http|https|http2|tls|dgram|dns|child_process|cluster|worker_threads|os|process|crypto|readline|' +
  'stream|timers|perf_hooks|v8|vm|inspector)(/|$)';

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'no-cycles',
      comment:
        'Modules that import each other in a circle, be it for types only, cannot be understood or tested one at a time.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'shared-is-ours-alone',
      comment: 'src/shared is what all others agree on: it imports nothing of ours outside itself.',
      severity: 'error',
      from: { path: '^src/shared/' },
      to: { path: '^(src|infra|examples|bench|test|bin)/', pathNot: '^src/shared/' },
    },
    {
      name: 'shared-has-no-io',
      comment: 'src/shared is pure: workflows run it again on replay, so it may not read clocks, files or networks.',
      severity: 'error',
      from: { path: '^src/shared/' },
      to: { path: IO_MODULES, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'shared-knows-pure-packages-only',
      comment:
        'src/shared may use zod and the definitions of @temporalio/workflow and /common; others bring I/O with them.',
      severity: 'error',
      from: { path: '^src/shared/' },
      to: {
        path: 'node_modules/',
        pathNot: 'node_modules/(zod|@temporalio/(workflow|common))/',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'workflows-are-deterministic',
      comment: 'A workflow is replayed: I/O belongs into an activity (src/activities), called through its type.',
      severity: 'error',
      from: { path: '^src/workflows/' },
      to: { path: IO_MODULES, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'workflows-know-shared-only',
      comment: 'src/workflows imports src/shared and activity *types* (import type); anything else ends in its bundle.',
      severity: 'error',
      from: { path: '^src/workflows/' },
      to: {
        path: '^(src|infra|examples|bench|test|bin)/',
        pathNot: '^src/(shared|workflows)/',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'activities-know-shared-only',
      comment:
        'src/activities imports src/shared, of src/host what command and worker must do in the very same way, and of ' +
        'infra/lib what set-up must too; it gets everything else as arguments from src/worker.ts.',
      severity: 'error',
      from: { path: '^src/activities/' },
      to: {
        path: '^(src|infra|examples|bench|test|bin)/',
        pathNot: ['^src/(shared|activities)/', '^src/host/(repository|processes)\\.ts$', '^infra/lib/'],
      },
    },
    {
      name: 'what-all-import-knows-shared-only',
      comment: 'The command and activities both import these: what they import in turn, both would.',
      severity: 'error',
      from: { path: '^src/host/(repository|processes)\\.ts$' },
      to: { path: '^(src|infra|examples|bench|test|bin)/', pathNot: '^(src/shared|infra/lib)/' },
    },
    {
      name: 'people-watch-through-temporal',
      comment:
        'src/cli and src/dashboard talk to a run through Temporal’s client and src/shared only, so that they work ' +
        'against any server: not through workflows or activities.',
      severity: 'error',
      from: { path: '^src/(cli|dashboard)/' },
      to: { path: '^src/(workflows|activities)/' },
    },
    {
      name: 'nothing-knows-the-command',
      comment: 'src/cli is what a person types: what it and the worker both need is in src/host or src/doctor.',
      severity: 'error',
      from: { path: '^src/([^/]+$|host/|doctor/)' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'dashboard-knows-shared-only',
      comment: 'src/dashboard turns snapshots into what a person sees: it imports src/shared and itself.',
      severity: 'error',
      from: { path: '^src/dashboard/' },
      to: { path: '^(src|infra|examples|bench|test|bin)/', pathNot: '^src/(shared|dashboard)/' },
    },
    {
      name: 'product-does-not-know-its-tests',
      comment: 'What is shipped may not depend on tests, benchmarks or examples: no code path that only they use.',
      severity: 'error',
      from: { path: '^(src|infra/(temporal|lib)|bin)/' },
      to: { path: '^(test|bench|examples)/' },
    },
    {
      name: 'set-up-needs-nothing-installed',
      comment: 'infra/setup and infra/lib run under the host’s Node before npm ci: node: modules and each other only.',
      severity: 'error',
      from: { path: '^infra/(setup|lib)/' },
      to: { path: '(node_modules/|\\.ts$)' },
    },
    {
      name: 'not-resolved',
      comment: 'This import leads nowhere.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(examples/[^/]+/(repository|changes)/|dist/)' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
