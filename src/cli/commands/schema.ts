import { z } from 'zod';
import { configSchema } from '../../config/config-schema.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import { nearest } from '../../kernel/nearest.ts';
import { runRecordSchema } from '../../record/run-record.ts';
import type { CommandRun, CommandSpec } from '../command.ts';
import { alignColumns } from '../output/columns.ts';
import { documentSchema, eventSchema } from '../outputs/document.ts';

interface NamedSchema {
  readonly describes: string;
  readonly make: () => Promise<z.ZodType>;
  /** What is read rather than written: `config`. Defaults are then optional. */
  readonly io?: 'input';
}

export const runSchema: CommandRun = async (context, { arguments: args }) => {
  const schemas = namedSchemas(context.catalogue);
  if (typeof args.name !== 'string') {
    const names = [...schemas].map(([name, { describes }]) => ({ name, describes }));
    return {
      data: { names },
      text: () => `${alignColumns(names.map(({ name, describes }) => [name, describes])).join('\n')}\n`,
    };
  }
  const jsonSchema = await jsonSchemaOf(args.name, schemas);
  return {
    data: { name: args.name, jsonSchema },
    // a schema has keys called `token` and holds no secret
    printsSecrets: true,
    text: () => `${JSON.stringify(jsonSchema, null, 2)}\n`,
  };
};

/** Every schema there is: the record, the configuration, events, and one document for each kind of output. */
function namedSchemas(catalogue: readonly CommandSpec[]): Map<string, NamedSchema> {
  const schemas = new Map<string, NamedSchema>([
    ['run', { describes: 'run.json of a run (trollfix.run/v1)', make: async () => runRecordSchema }],
    ['config', { describes: 'trollfix.yaml', make: async () => configSchema, io: 'input' }],
    ['event', { describes: 'a line of --ndjson (trollfix.event/v1)', make: async () => eventSchema }],
    [
      'error',
      {
        describes: '--json of a usage error (trollfix.error/v1)',
        make: async () => documentSchema('error', z.null()),
      },
    ],
  ]);
  const users = Map.groupBy(catalogue, (spec) => spec.kind);
  for (const [kind, specs] of users) {
    // `run` is the record itself; a command's document of that kind would hide it
    const name = schemas.has(kind) ? `${kind}-output` : kind;
    const commands = specs.map((spec) => `trollfix ${spec.path.join(' ')} --json`).join(', ');
    const [spec] = specs;
    if (!spec) continue;
    schemas.set(name, {
      describes: commands,
      make: async () => documentSchema(kind, (await spec.dataSchema()).nullable()),
    });
  }
  return schemas;
}

async function jsonSchemaOf(
  name: string,
  schemas: ReadonlyMap<string, NamedSchema>,
): Promise<Record<string, unknown>> {
  const schema = schemas.get(name);
  if (!schema) {
    const near = nearest(name, schemas.keys());
    throw new TrollfixError('TF-REP-003', `there is no schema "${name}"`, {
      hint: near ? `did you mean \`trollfix schema ${near}\`?` : '`trollfix schema` lists them',
      details: { name, names: [...schemas.keys()], didYouMean: near ?? null },
    });
  }
  const generated = z.toJSONSchema(await schema.make(), {
    target: 'draft-2020-12',
    io: schema.io ?? 'output',
  });
  return { ...generated, title: schema.describes };
}
