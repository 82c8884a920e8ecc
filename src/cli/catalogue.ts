import type { CommandSpec } from './command.ts';
import { completionSpec } from './commands/completion.spec.ts';
import { doctorSpec } from './commands/doctor.spec.ts';
import { giftSpecs } from './commands/gift.spec.ts';
import { guardSpec } from './commands/guard.spec.ts';
import { helpExitCodesSpec } from './commands/help.spec.ts';
import { initSpec } from './commands/init.spec.ts';
import { provisionSpec } from './commands/provision.spec.ts';
import { reportBuildSpec, reportShowSpec } from './commands/report.spec.ts';
import { runSpecs } from './commands/run.spec.ts';
import { schemaSpec } from './commands/schema.spec.ts';
import { seatSpecs } from './commands/seat.spec.ts';
import { settleSpec } from './commands/settle.spec.ts';
import { stackSpecs } from './commands/stack.spec.ts';
import { tokenSpecs } from './commands/token.spec.ts';

/**
 * Every command, in the order of the help. A new command is one import and one entry here.
 * Specs are read at every start: they import nothing but types and `kernel`.
 */
export const catalogue: readonly CommandSpec[] = [
  ...runSpecs,
  ...stackSpecs,
  initSpec,
  doctorSpec,
  provisionSpec,
  reportBuildSpec,
  reportShowSpec,
  ...seatSpecs,
  ...giftSpecs,
  ...tokenSpecs,
  guardSpec,
  settleSpec,
  schemaSpec,
  completionSpec,
  helpExitCodesSpec,
];

/** What a first word without a command of its own stands for. */
export const groupSummaries: Readonly<Record<string, string>> = {
  load: 'one probe under load',
  chaos: 'the crash matrix: what breaks, and what must not',
  report: 'read reports, or build them again from run records',
  seat: 'seats and bans on a stream, for moderators',
  gift: 'the gift ledger: backlog, settlement, one gift, reversal, audit',
  token: 'LiveKit tokens: mint, inspect, attack an endpoint that gives them',
  help: 'help on a command, or `help exit-codes`',
};
