import { formatDuration } from '../../kernel/duration.ts';

import type { StreamRef } from '../../ops/seat-lookup.ts';
import type { SituationName } from '../../probes/seat/lost-seats.ts';
import type { SeatPlace } from '../../probes/seat/place.ts';
import type { ReadmissionFindings, SessionFinding } from '../../probes/seat/readmission.ts';
import type { ReadmissionSummary } from '../../probes/seat/verify.ts';
import type { EntryName, WayBackFinding } from '../../probes/seat/ways-back.ts';
import type { Style, Terminal } from '../command.ts';
import { padToWidth } from '../output/columns.ts';
import { streamName } from './seat-words.ts';

export interface Verified {
  readonly place: SeatPlace;
  readonly stream: StreamRef | null;
  readonly found: ReadmissionFindings;
  readonly summary: ReadmissionSummary;
}

const situationTitles: Readonly<Record<SituationName, string>> = {
  banned: 'AFTER A BAN',
  downgraded: 'AFTER A DOWNGRADE (to come back is to publish again)',
  expired: 'AFTER THE SEAT RAN OUT (to come back is to publish again)',
};

const entryTitles: Readonly<Record<EntryName, string>> = { gate: 'gate', livekit: 'LiveKit' };

/** Four verdicts side by side and the names of the doors before them take so much. */
const wideEnough = 100;

/** The matrix as a grid for each way to lose a seat, and what it means. */
export function verifyText(terminal: Pick<Terminal, 'columns' | 'style'>, verified: Verified): string {
  const { place, stream, found, summary } = verified;
  const all: readonly EntryName[] = place.livekit.gateUrl === undefined ? ['livekit'] : ['gate', 'livekit'];
  const groups = terminal.columns >= wideEnough ? [all] : all.map((entry) => [entry]);
  const where = stream === null ? 'a synthetic stream' : streamName(stream);
  const addresses = [
    ...(place.livekit.gateUrl === undefined ? [] : [`gate ${place.livekit.gateUrl}`]),
    `LiveKit ${place.livekit.url}`,
  ];
  const situations = [...new Set(found.sessions.map(({ situation }) => situation))];
  const grids = situations.flatMap((situation) =>
    groups.map((entries) => grid(terminal.style, found, situation, entries)),
  );
  return [`${where}: ${addresses.join(', ')}`, ...grids, conclusion(terminal.style, found, summary)].join(
    '\n\n',
  );
}

function grid(
  style: Style,
  found: ReadmissionFindings,
  situation: SituationName,
  entries: readonly EntryName[],
): string {
  const ways = found.ways.filter((way) => way.situation === situation);
  const doors = [...new Set(ways.map(({ door }) => door))];
  const columns = entries.flatMap((entry) => [
    { entry, title: `${entryTitles[entry]}: first token`, own: ['original', 'new'] },
    { entry, title: 'refreshed', own: ['refreshed', 'alias'] },
  ]);
  const sessionRow = columns.map(({ entry, own }) =>
    own.includes('original') ? sessionCell(found.sessions, situation, entry) : plain(''),
  );
  const doorRows = doors.map((door) => ({
    title: door,
    cells: columns.map(({ entry, own }) => {
      const way = ways.find((w) => w.entry === entry && w.door === door && own.includes(w.credential));
      return way === undefined ? plain('') : wayCell(way);
    }),
  }));
  const rows = [{ title: 'the session they were in', cells: sessionRow }, ...doorRows];
  const titleWidth = Math.max(...rows.map(({ title }) => title.length));
  const widths = columns.map(({ title }, i) =>
    Math.max(title.length, ...rows.map(({ cells }) => cells[i]?.text.length ?? 0)),
  );
  const head = columns.map(({ title }, i) => padToWidth(title, widths[i] ?? 0)).join('  ');
  const lines = rows.map(({ title, cells }) => {
    const padded = cells.map(({ text, paint }, i) => paint(style, padToWidth(text, widths[i] ?? 0)));
    return `${padToWidth(title, titleWidth)}  ${padded.join('  ')}`.trimEnd();
  });
  return [
    style.bold(situationTitles[situation]),
    `${padToWidth('', titleWidth)}  ${style.dim(head.trimEnd())}`,
    ...lines,
  ].join('\n');
}

interface Cell {
  readonly text: string;
  readonly paint: (style: Style, text: string) => string;
}

function plain(text: string): Cell {
  return { text, paint: (_style, padded) => padded };
}

function wayCell({ verdict, dwellMs }: WayBackFinding): Cell {
  switch (verdict) {
    case 'CLOSED':
      return { text: 'CLOSED', paint: (style, text) => style.green(text) };
    case 'WINDOW':
      return {
        text: `WINDOW ${formatDuration(Math.round(dwellMs ?? 0))}`,
        paint: (style, text) => style.yellow(text),
      };
    case 'OPEN':
      return { text: 'OPEN', paint: (style, text) => style.red(text) };
    case 'UNKNOWN':
      return { text: 'UNKNOWN', paint: (style, text) => style.yellow(text) };
    case 'NO_DOOR':
      return { text: 'no door', paint: (style, text) => style.dim(text) };
  }
}

function sessionCell(sessions: readonly SessionFinding[], situation: SituationName, entry: EntryName): Cell {
  const session = sessions.find((one) => one.situation === situation && one.entry === entry);
  switch (session?.verdict) {
    case 'CLOSED': {
      const after = session.endedMs === null ? '' : ` ${formatDuration(Math.round(session.endedMs))}`;
      return {
        text: `${situation === 'banned' ? 'ENDED' : 'SILENT'}${after}`,
        paint: (style, text) => style.green(text),
      };
    }
    case 'OPEN':
      return {
        text: `STAYED ${session.stayed} of ${session.victims}`,
        paint: (style, text) => style.red(text),
      };
    default:
      return { text: 'UNKNOWN', paint: (style, text) => style.yellow(text) };
  }
}

function conclusion(style: Style, found: ReadmissionFindings, summary: ReadmissionSummary): string {
  const { gate, livekit } = summary.entries;
  const judged = summary.entries[found.entry];
  const [open, tried] = [judged?.open ?? 0, judged?.tried ?? 0];
  const verdicts = {
    held: style.green(`HELD: all ${tried} ways back are shut, and nobody stayed in`),
    open: style.red(`OPEN: ${open} of ${tried} ways back let somebody in`),
    stays_in: style.red(`STAYS IN: ${summary.bannedInside} banned users were in the room at the end`),
    unknown: style.yellow(`UNKNOWN: ${summary.unclear.length} sessions and ways gave no answer`),
  };
  const notes = [
    ...(gate === undefined
      ? [
          'There is no gate in front of this LiveKit, and LiveKit does not revoke tokens: `trollfix guard --gate`.',
        ]
      : []),
    ...(gate !== undefined && (livekit?.open ?? 0) > 0
      ? [
          `LiveKit itself let somebody in by ${livekit?.open} of ${livekit?.tried} ways: its own port must not be reachable by clients.`,
        ]
      : []),
    ...(summary.stillPublishing > 0
      ? [`${summary.stillPublishing} users without the right to publish could go on publishing.`]
      : []),
    ...(found.tokensForBanned > 0
      ? [`The token endpoint gave ${found.tokensForBanned} new tokens to banned users.`]
      : []),
    ...found.holdersRefused.map((which) => `Refused or put out although they have a seat: ${which}`),
    ...(found.refusedAtFirst > 0
      ? [
          `${found.refusedAtFirst} times somebody was refused who had just been given a seat, and let in a moment later.`,
        ]
      : []),
    ...summary.unclear.slice(0, 3),
    ...(found.pastLeeway
      ? []
      : ['--quick: what waiting for the end of the first token is worth was not tried (two minutes).']),
  ];
  return `${[verdicts[summary.verdict], ...notes].join('\n')}\n`;
}
