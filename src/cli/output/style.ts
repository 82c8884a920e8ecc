import type { Style } from '../command.ts';

/**
 * Whether a stream gets colours. `--no-color`, `NO_COLOR` and `TERM=dumb` switch them off, `FORCE_COLOR` on
 * (https://no-color.org, https://force-color.org); without a word from anybody a terminal gets them.
 */
export function wantsColor(
  env: Readonly<Record<string, string | undefined>>,
  options: { flag: boolean; isTty: boolean },
): boolean {
  if (!options.flag || (env.NO_COLOR ?? '') !== '') return false;
  const forced = env.FORCE_COLOR;
  if (forced !== undefined) return forced !== '0' && forced !== 'false';
  if (env.TERM === 'dumb') return false;
  return options.isTty;
}

export function styleOf(colored: boolean): Style {
  const wrap = (open: number, close: number) => (text: string) =>
    colored && text !== '' ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return {
    bold: wrap(1, 22),
    dim: wrap(2, 22),
    red: wrap(31, 39),
    green: wrap(32, 39),
    yellow: wrap(33, 39),
    cyan: wrap(36, 39),
  };
}
