import { exitCodeMeanings } from '../../kernel/exit-codes.ts';
import type { CommandRun } from '../command.ts';
import { alignColumns } from '../output/columns.ts';

export const runHelpExitCodes: CommandRun = async () => ({
  data: { exitCodes: exitCodeMeanings.map(([code, meaning]) => ({ code, meaning })) },
  text: () =>
    `${alignColumns(exitCodeMeanings.map(([code, meaning]) => [String(code), meaning])).join('\n')}\n`,
});
