import type { CommandSpec, OptionSpec } from '../command.ts';
import { loadOptions, parseCount, runDirOption, seedOption } from '../load-options.ts';

const dataSchema = async () => (await import('../outputs/run.ts')).dataSchema;

const drill: CommandSpec = {
  path: ['drill'],
  summary: 'the main job: every probe and the crash matrix against the target, then the report',
  description:
    'Brings the embedded stack up when it is the target and not up yet, provisions it, runs every probe and the crash matrix, writes reports/<run id>/run.json and report.md, and takes down what it started.',
  examples: [
    { line: 'trollfix drill --quick', does: 'everything with short phases, under 3 minutes' },
    { line: 'trollfix drill --json > drill.json', does: 'the run record on stdout, progress on stderr' },
  ],
  options: [
    { flags: '--quick', description: 'short phases: the whole run in under 3 minutes' },
    seedOption,
    runDirOption,
  ],
  kind: 'drill',
  dataSchema,
  load: async () => (await import('./drill.ts')).runDrillCommand,
};

interface LoadKind {
  readonly name: 'chat' | 'gift' | 'seat' | 'hls' | 'leaderboard';
  readonly summary: string;
  readonly example: string;
  readonly does: string;
  readonly options?: readonly OptionSpec[];
}

const loadKinds: readonly LoadKind[] = [
  {
    name: 'chat',
    summary: 'chat through Realtime: throughput, loss, duplicates, order, latency end to end',
    example: 'trollfix load chat --rate 50/s --duration 30s --users 100',
    does: '50 messages/s for half a minute into rooms with 100 users in all',
    options: [
      {
        flags: '--rooms <n>',
        description: 'rooms that the users are spread over (default: 1)',
        parse: parseCount(1),
      },
    ],
  },
  {
    name: 'gift',
    summary: 'gifts through the RPC: intake, settlement rate, backlog, money conserved',
    example: 'trollfix load gift --rate 400/s --duration 30s',
    does: '400 gifts/s through PostgREST, then settled',
  },
  {
    name: 'seat',
    summary:
      'fill rooms, hold everybody there, revoke one by one and half at once: who is out, how fast, who is not',
    example: 'trollfix load seat --users 300 --rate 50/s --duration 60s --active 5',
    does: '300 join at 50/s and are held for a minute (joining anew at 50 s), half of them is then thrown out at once',
    options: [
      {
        flags: '--active <n>',
        description: 'participants with a real media connection beside the users (default: 3)',
        parse: parseCount(0, 50),
      },
    ],
  },
  {
    name: 'hls',
    summary: 'virtual viewers of the live stream: startup, freshness, availability, playlist rules',
    example: 'trollfix load hls --users 1000 --duration 30s',
    does: '1000 viewers for half a minute',
  },
  {
    name: 'leaderboard',
    summary: 'reads of the cached leaderboard while the ledger grows',
    example: 'trollfix load leaderboard --rate 100/s --duration 10s',
    does: '100 reads/s at each size of the ledger',
  },
];

const loads: readonly CommandSpec[] = loadKinds.map((kind) => ({
  path: ['load', kind.name],
  summary: kind.summary,
  examples: [{ line: kind.example, does: kind.does }],
  options: [...loadOptions, ...(kind.options ?? [])],
  kind: 'load',
  dataSchema,
  load: async () => (await import('./load.ts')).loadCommand(kind.name),
}));

const chaosList: CommandSpec = {
  path: ['chaos', 'list'],
  summary: 'the experiments: what each does, needs and touches',
  examples: [{ line: 'trollfix chaos list', does: 'a table of experiments' }],
  kind: 'chaos-list',
  dataSchema: async () => (await import('../outputs/chaos-list.ts')).dataSchema,
  load: async () => (await import('./chaos.ts')).listExperiments,
};

const chaosRun: CommandSpec = {
  path: ['chaos', 'run'],
  summary: 'run crash-matrix experiments and judge them',
  examples: [
    { line: 'trollfix chaos run chat-spam', does: 'one experiment' },
    { line: 'trollfix chaos run --all --repeat 3', does: 'the whole matrix, each row three times' },
  ],
  arguments: [{ name: 'id', description: 'experiments to run', required: false, variadic: true }],
  options: [
    { flags: '--all', description: 'every experiment' },
    { flags: '--repeat <n>', description: 'repetitions of each (default: 1)', parse: parseCount(1) },
    { flags: '--dry-run', description: 'print what would be done and touched, and do nothing' },
    seedOption,
    runDirOption,
  ],
  kind: 'chaos-run',
  dataSchema: async () => (await import('../outputs/chaos-run.ts')).dataSchema,
  load: async () => (await import('./chaos.ts')).runExperiments,
};

const cleanup: CommandSpec = {
  path: ['cleanup'],
  summary: 'remove every synthetic row a run left',
  examples: [
    { line: 'trollfix cleanup 2026-11-24T00-30-12Z-7f3a', does: 'rows of that run and of nothing else' },
  ],
  arguments: [{ name: 'run', description: 'the run id', required: true }],
  kind: 'cleanup',
  dataSchema: async () => (await import('../outputs/cleanup.ts')).dataSchema,
  load: async () => (await import('./cleanup.ts')).cleanupRun,
};

export const runSpecs: readonly CommandSpec[] = [drill, ...loads, chaosList, chaosRun, cleanup];
