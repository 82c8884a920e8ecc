import { expect, test } from 'vitest';
import { z } from 'zod';
import { catalogue } from '../../../src/cli/catalogue.ts';
import { sampleRecord } from '../report/sample-record.ts';
import { runFake } from './fake-host.ts';

test('every name gives a schema, and every kind of output has one', async () => {
  const { names } = (await runFake(['schema', '--json'])).json().data as { names: Array<{ name: string }> };
  const kinds = new Set(catalogue.map(({ kind }) => kind));
  for (const kind of kinds) expect(names.map(({ name }) => name)).toContain(kind);
  for (const { name } of names) {
    const ran = await runFake(['schema', name]);
    expect(ran.code, ran.stderr).toBe(0);
    const schema = JSON.parse(ran.stdout);
    expect(schema.$schema, name).toBe('https://json-schema.org/draft/2020-12/schema');
    // zod reads back what it wrote: it is a schema, not only JSON
    expect(() => z.fromJSONSchema(schema), name).not.toThrow();
  }
});

test('the schema of run.json takes a record and refuses what is none', async () => {
  const schema = z.fromJSONSchema(JSON.parse((await runFake(['schema', 'run'])).stdout));
  const record = JSON.parse(JSON.stringify(sampleRecord()));
  expect(schema.safeParse(record).success).toBe(true);
  expect(schema.safeParse({ ...record, seed: 'x' }).success).toBe(false);
});

test('the schema of an output takes that output', async () => {
  const schema = z.fromJSONSchema(JSON.parse((await runFake(['schema', 'exit-codes'])).stdout));
  expect(schema.safeParse((await runFake(['help', 'exit-codes', '--json'])).json()).success).toBe(true);
  expect(schema.safeParse({ schema: 'trollfix.other/v1', ok: true, data: null }).success).toBe(false);
});

test('a mistyped name gets the nearest', async () => {
  const ran = await runFake(['schema', 'confg', '--json']);
  expect(ran.code).toBe(2);
  expect(ran.json().error).toMatchObject({
    code: 'TF-REP-003',
    hint: 'did you mean `trollfix schema config`?',
  });
});
