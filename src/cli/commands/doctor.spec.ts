import type { CommandSpec } from '../command.ts';

export const doctorSpec: CommandSpec = {
  path: ['doctor'],
  summary: 'look at a target and say what is wrong, each with the command that fixes it; changes nothing',
  description:
    'Database, schema, row level security, publication, settlement, keys, LiveKit, token endpoint, HLS, clocks and ' +
    "this machine's limits. Exits 99 when a check fails; warnings do not. --verbose also says where each setting came from.",
  examples: [
    { line: 'trollfix doctor', does: 'of the embedded stack, or the target of trollfix.yaml' },
    { line: 'trollfix doctor --target staging --json', does: 'of another target, for scripts' },
  ],
  kind: 'doctor',
  dataSchema: async () => (await import('../outputs/doctor.ts')).dataSchema,
  load: async () => (await import('./doctor.ts')).runDoctor,
};
