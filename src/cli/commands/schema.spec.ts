import type { CommandSpec } from '../command.ts';

export const schemaSpec: CommandSpec = {
  path: ['schema'],
  summary: 'JSON Schema of an output, of run.json, or of trollfix.yaml',
  description: 'Without a name it lists the names. With one it prints the JSON Schema (draft 2020-12).',
  examples: [
    { line: 'trollfix schema', does: 'the names' },
    { line: 'trollfix schema run > run.schema.json', does: 'the schema of run.json' },
    { line: 'trollfix schema status', does: 'what `trollfix status --json` prints' },
  ],
  arguments: [{ name: 'name', description: 'which schema; none lists them', required: false }],
  kind: 'schema',
  dataSchema: async () => (await import('../outputs/schema.ts')).dataSchema,
  load: async () => (await import('./schema.ts')).runSchema,
};
