import type { CommandSpec } from '../command.ts';

export const provisionSpec: CommandSpec = {
  path: ['provision'],
  summary: 'bring the database to the schema of this version: migrations, publication, settlement schedule',
  description:
    'Applies what is pending, each migration in a transaction of its own, and sets up what ties the schema to the ' +
    'platform. Safe to run again and from several machines at once. --check compares instead: migrations, every ' +
    'object they made, publication and schedule, and exits 99 when something differs.',
  examples: [
    { line: 'trollfix provision', does: 'apply what is pending' },
    {
      line: 'trollfix provision --dry-run',
      does: 'print the SQL that would be run, in a read-only transaction',
    },
    { line: 'trollfix provision --check --json', does: 'for CI: exits 99 when the database has drifted' },
    {
      line: 'trollfix provision --export-supabase .',
      does: 'write supabase/migrations for `supabase db push`, and the token endpoint as an Edge Function',
    },
  ],
  options: [
    { flags: '--dry-run', description: 'print the SQL and change nothing' },
    { flags: '--check', description: 'compare the database with the migrations; exit 99 on drift' },
    {
      flags: '--export-supabase <dir>',
      description: "write migrations and the token endpoint in the Supabase CLI's folder form",
    },
  ],
  kind: 'provision',
  dataSchema: async () => (await import('../outputs/provision.ts')).dataSchema,
  load: async () => (await import('./provision.ts')).runProvision,
};
