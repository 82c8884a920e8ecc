import type { ReadmissionFindings, SessionFinding } from './readmission.ts';
import type { EntryName, WayBackFinding } from './ways-back.ts';

/** Ways back at one entry, counted. */
export interface EntrySummary {
  readonly tried: number;
  /** Let somebody in, for however long, or said they would. */
  readonly open: number;
  readonly shut: number;
  readonly unknown: number;
  readonly noDoor: number;
}

/** What the rejoin matrix adds up to. */
export interface ReadmissionSummary {
  /**
   * held: nothing is open at the entry that clients are given, and nobody stays in. stays_in: a banned user is in the
   * room when all who enforce have had their time. open: there is a way back, or holders are refused. unknown: neither
   * can be said.
   */
  readonly verdict: 'held' | 'stays_in' | 'open' | 'unknown';
  readonly entries: Readonly<Partial<Record<EntryName, EntrySummary>>>;
  /** Banned users who were never put out, or came back by the entry that clients are given and stayed. */
  readonly bannedInside: number;
  /** Banned users whose session or return could be judged. */
  readonly bannedJudged: number;
  /** Users with a downgraded or expired seat whose session went on publishing. */
  readonly stillPublishing: number;
  readonly losersJudged: number;
  /** Sessions and ways of which nothing can be said. */
  readonly unclear: readonly string[];
}

/** Judges by the entry that clients are given: what LiveKit's own port lets in beside a gate is for a firewall. */
export function summarise(found: ReadmissionFindings): ReadmissionSummary {
  const entries = Object.fromEntries(
    [...Map.groupBy(found.ways, ({ entry }) => entry)].map(([entry, ways]) => [entry, countWays(ways)]),
  );
  const banned = found.sessions.filter(({ situation }) => situation === 'banned');
  const others = found.sessions.filter(({ situation }) => situation !== 'banned');
  const returned = found.samples.filter(
    ({ entry, situation, verdict, witnessed }) =>
      entry === found.entry && situation === 'banned' && verdict === 'OPEN' && witnessed.length > 0,
  );
  const bannedInside = sum(banned, ({ stayed }) => stayed) + returned.length;
  const stillPublishing = sum(others, ({ stayed }) => stayed);
  const judged = entries[found.entry];
  const unclear = unclearOf(found);
  const open = (judged?.open ?? 0) > 0 || stillPublishing > 0 || found.holdersRefused.length > 0;
  const nothing = (judged?.tried ?? 0) === 0;
  return {
    verdict:
      bannedInside > 0 ? 'stays_in' : open ? 'open' : nothing || unclear.length > 0 ? 'unknown' : 'held',
    entries,
    bannedInside,
    bannedJudged: sum(banned, judgedIn),
    stillPublishing,
    losersJudged: sum(others, judgedIn),
    unclear,
  };
}

function countWays(ways: readonly WayBackFinding[]): EntrySummary {
  const of = (...verdicts: readonly string[]) =>
    ways.filter(({ verdict }) => verdicts.includes(verdict)).length;
  const [open, shut] = [of('OPEN', 'WINDOW'), of('CLOSED')];
  return { tried: open + shut, open, shut, unknown: of('UNKNOWN'), noDoor: of('NO_DOOR') };
}

function judgedIn({ verdict, victims }: SessionFinding): number {
  return verdict === 'UNKNOWN' ? 0 : victims;
}

function unclearOf({ entry, ways, sessions }: ReadmissionFindings): string[] {
  const doors = ways
    .filter((way) => way.entry === entry && way.verdict === 'UNKNOWN')
    .map(
      ({ situation, credential, door, said, control }) =>
        `${situation}, ${credential} token, ${door}: ${Object.keys(said)[0]}; to a seat holder: ${control}`,
    );
  const ends = sessions
    .filter(({ verdict }) => verdict === 'UNKNOWN')
    .map(({ situation, entry: where, said }) => `${situation}, session at ${where}: ${said}`);
  return [...ends, ...doors];
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
