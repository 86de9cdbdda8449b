/** The schema of `temporal.config.ts` (data only) and its defaults. Pure; loading is the CLI's and worker's. */
import { z } from 'zod';
import { ROLES } from '../contracts/agent.ts';
import { AddressRange, NetworkSetting, RegistryUrl } from '../contracts/network.ts';
import { RunSettingsInput } from '../contracts/run-settings.ts';

/** USD per million tokens. */
export const Price = z.strictObject({
  input: z.number().nonnegative(),
  cachedInput: z.number().nonnegative().optional(),
  output: z.number().nonnegative(),
});
export type Price = z.infer<typeof Price>;

/** What an endpoint may be asked; calls beyond it wait. Absent: as much as it bears. */
export const EndpointLimits = z.strictObject({
  /** Calls at once. */
  concurrency: z.number().int().positive().optional(),
  requestsPerMinute: z.number().positive().optional(),
  /** Input (from Anthropic's cache not counted, as there) and output together. */
  tokensPerMinute: z.number().positive().optional(),
});
export type EndpointLimits = z.infer<typeof EndpointLimits>;

const Models = z
  .strictObject(Object.fromEntries([...ROLES, 'default'].map((role) => [role, z.string().min(1).optional()])))
  .refine((models) => Object.values(models).some((m) => m !== undefined), 'name at least one model')
  .transform((models) => models as Partial<Record<(typeof ROLES)[number] | 'default', string>>);

/** One LLM endpoint. Configuration names the variable of a key; only `LLM_ENDPOINTS` may hold the key itself. */
export const EndpointConfig = z.strictObject({
  name: z.string().min(1),
  provider: z.enum(['openai', 'anthropic']),
  baseUrl: z.url().optional(),
  apiKeyEnv: z.string().min(1).optional(),
  /** By role; `default` serves the roles that are not named. Absent: the list of models is said and it stops. */
  models: Models.optional(),
  weight: z.number().positive().default(1),
  price: Price.optional(),
  /** By model, over `price`. */
  prices: z.record(z.string().min(1), Price).default({}),
  limits: EndpointLimits.prefault({}),
});
export type EndpointConfig = z.infer<typeof EndpointConfig>;

/** As above, with a key in place: for the environment variable `LLM_ENDPOINTS` only. */
export const EndpointFromEnv = EndpointConfig.extend({ apiKey: z.string().min(1).optional() });
export type EndpointFromEnv = z.infer<typeof EndpointFromEnv>;

const SandboxLimits = z.strictObject({
  memoryMb: z.number().int().positive().default(4_096),
  processes: z.number().int().positive().default(512),
  /** Of one process. */
  openFiles: z.number().int().positive().default(8_192),
  /** Of one file. */
  fileSizeMb: z.number().int().positive().default(1_024),
  /** On disk: work tree, /tmp, home and stored versions of one sandbox together. */
  diskMb: z.number().int().positive().default(10_240),
  /** Files and folders, likewise. */
  files: z.number().int().positive().default(1_000_000),
  /** CPU seconds of one process. */
  cpuSeconds: z.number().int().positive().default(3_600),
  /** What of a command's output is kept for the model, in bytes; the whole is in a file in the sandbox. */
  outputBytes: z.number().int().positive().default(30_000),
  /** A command that writes more than this to its output is stopped. */
  outputMb: z.number().int().positive().default(256),
  /** Free space that must be left on the host's disk, or writing commands are refused. */
  minFreeDiskMb: z.number().int().nonnegative().default(512),
});
export type SandboxLimits = z.infer<typeof SandboxLimits>;

const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

const ModalConfig = z.strictObject({
  /** The app on Modal that sandboxes belong to; made when it is not there. */
  app: z
    .string()
    .regex(/^[\w.-]{1,64}$/)
    .default('agentswarm'),
  /** Modal's environment. Default: the token's own. */
  environment: z.string().min(1).optional(),
  /** The id of an image that is ready (`im-…`), or a Debian-based registry tag for `infra/modal/Dockerfile`. */
  image: z.string().min(1).optional(),
  /** Cores of one sandbox. */
  cpu: z.number().positive().default(2),
  memoryMb: z.number().int().positive().default(4_096),
  /** Where sandboxes may run. Empty: anywhere. */
  regions: z.array(z.string().min(1)).default([]),
  /** Modal ends a sandbox after so long, whatever it does. */
  lifetimeHours: z.number().int().min(1).max(24).default(24),
  /** Modal ends a sandbox in which nothing ran for so long: that of a host that died. */
  idleMinutes: z.number().int().min(1).max(1_440).default(60),
});
export type ModalConfig = z.infer<typeof ModalConfig>;

export const Config = z.strictObject({
  temporal: z
    .strictObject({
      address: z.string().optional(),
      namespace: z.string().optional(),
      /** Path of a module whose default export is a PayloadCodec[]; used by clients and workers alike. */
      payloadCodecs: z.string().optional(),
    })
    .prefault({}),
  taskQueue: z.string().min(1).default('agentswarm'),
  worker: z
    .strictObject({
      /** LLM calls and other I/O at once in this process. */
      maxActivities: z.number().int().positive().default(400),
      maxCachedWorkflows: z.number().int().positive().default(600),
      /** The thread that workflows run in: ours, which keeps call stacks at less cost, or the SDK's own as it is. */
      workflowThread: z.enum(['fast', 'sdk']).default('fast'),
      /** Longer than an LLM call: a worker that is asked to stop finishes what was paid for. */
      shutdownGraceSeconds: z.number().positive().default(300),
    })
    .prefault({}),
  sandbox: z
    .strictObject({
      /** Where sandboxes are: on this host, or on Modal. */
      provider: z.enum(['local', 'modal']).default('local'),
      /** Leases at once on this host. */
      maxSandboxes: z.number().int().positive().default(32),
      /** Further slots for conflict agents only, so that waiting tasks can never starve them. */
      reservedSlots: z.number().int().positive().default(2),
      /** A sandbox's checkpoint goes to the remote at most this often: what another host can go on from. */
      checkpointPushSeconds: z.number().positive().default(60),
      /** How a turn's work tree is stored: `git` is the plain way, `fast` the same commits with less CPU, on this host only. */
      checkpoints: z.enum(['fast', 'git']).default('fast'),
      /** true: run without isolation where bubblewrap is missing. Every report says so. */
      unsafe: z.boolean().default(false),
      /** What commands of agents may reach. */
      network: NetworkSetting.default('none'),
      /** Private, loopback and other special addresses that names on an allowlist may lead to all the same. */
      privateAddresses: z.array(AddressRange).default([]),
      /** Which registries may be given which variable's token; those of `run.setup` in this file may anyway. */
      registryTokens: z.record(z.string(), z.array(RegistryUrl)).default({}),
      limits: SandboxLimits.prefault({}),
      modal: ModalConfig.prefault({}),
    })
    .prefault({}),
  llm: z
    .strictObject({
      endpoints: z.array(EndpointConfig).default([]),
      /** A stream that is silent for so long is given up and asked for again. */
      idleSeconds: z.number().positive().default(120),
      /** The same for one that is kept alive without a word of the answer. */
      firstTokenSeconds: z.number().positive().default(600),
      /** A run is told of calls that have waited for a model for so long: limits, outages. */
      tellWaitSeconds: z.number().positive().default(30),
    })
    .prefault({}),
  metrics: z
    .strictObject({
      prometheus: z
        .strictObject({
          /** IP address and port that a worker answers `/metrics` on; one worker each. */
          bindAddress: z
            .string()
            .regex(
              /^(\[[0-9a-fA-F:]+\]|\d{1,3}(\.\d{1,3}){3}):\d{1,5}$/,
              'expected an IP address and a port: "127.0.0.1:9464"',
            ),
        })
        .optional(),
    })
    .prefault({}),
  /** Where `deliver: "pull-request"` proposes what has landed. */
  github: z
    .strictObject({
      /** Of the repositories, with its port where it has one. */
      host: z.string().min(1).toLowerCase().default('github.com'),
      /** Of the REST API. Default: `https://api.github.com`; of another host `https://<host>/api/v3`. */
      apiUrl: z
        .url({ protocol: /^https?$/ })
        .refine((url) => url.startsWith('https:') || (URL.canParse(url) && LOOPBACK.has(new URL(url).hostname)), {
          message: 'a token is sent there: it must be https (http to this very machine is allowed)',
        })
        .optional(),
      /** Name of the variable that holds the token. */
      tokenEnv: z.string().min(1).default('AGENTSWARM_GITHUB_TOKEN'),
    })
    .prefault({}),
  run: RunSettingsInput.prefault({}),
  /** Where mirrors, sandboxes, journals and the embedded server's data are. Default: the user's state folder. */
  stateDir: z.string().optional(),
});
export type Config = z.infer<typeof Config>;
export type ConfigInput = z.input<typeof Config>;

/** Types the data of `temporal.config.ts`. */
export const defineConfig = (config: ConfigInput): ConfigInput => config;
