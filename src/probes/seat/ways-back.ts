import { type DoorName, doorNames, doorTitles } from './doors.ts';
import type { Credential, SituationName } from './lost-seats.ts';
import type { WayBackVerdict } from './way-back.ts';

/** Which address was knocked at: the gate that clients are given, or LiveKit itself. */
export type EntryName = 'gate' | 'livekit';

/** A door and the token that is shown there. */
export interface Way {
  readonly credential: Credential;
  readonly door: DoorName;
  readonly title: string;
  /** Tried only when the token that was joined with is over, with LiveKit's leeway. */
  readonly pastLeeway: boolean;
}

const now = { pastLeeway: false } as const;
const later = { pastLeeway: true, door: 'rtc', title: '/rtc, past the leeway' } as const;

/**
 * Every known way back. LiveKit signs a token for each session, under the identity of that session: one for an alias
 * (`id#x`) still opens when the id itself was taken care of.
 */
export const waysBack: readonly Way[] = [
  ...doorNames.flatMap((door) =>
    (['original', 'refreshed'] as const).map((credential) => ({
      ...now,
      credential,
      door,
      title: doorTitles[door],
    })),
  ),
  { ...now, credential: 'alias', door: 'rtc', title: '/rtc, token of an alias' },
  { ...now, credential: 'new', door: 'rtc', title: 'token endpoint, then /rtc' },
];

/** What waiting is worth: the token that was joined with is over by then, the one LiveKit signed is not. */
export const waysPastLeeway: readonly Way[] = [
  { ...later, credential: 'original' },
  { ...later, credential: 'refreshed' },
];

/** One knock, as it stands in the record. */
export interface WayBackSample {
  readonly entry: EntryName;
  readonly situation: SituationName;
  readonly credential: Credential;
  readonly door: DoorName;
  readonly title: string;
  readonly user: string;
  readonly verdict: WayBackVerdict;
  readonly said: string;
  readonly witnessed: readonly string[];
  readonly dwellMs: number | null;
  readonly refreshTokenHarvested: boolean;
}

/** One way back in one situation, over everybody who tried it. */
export interface WayBackFinding {
  readonly entry: EntryName;
  readonly situation: SituationName;
  readonly credential: Credential;
  readonly door: string;
  /** NO_DOOR: not even somebody with a seat gets in that way, so that its being shut says nothing. */
  readonly verdict: WayBackVerdict | 'NO_DOOR';
  readonly attempts: number;
  /** Attempts that got in, for however long. */
  readonly open: number;
  /** With WINDOW: the longest. */
  readonly dwellMs: number | null;
  /** What the door said, with how often. */
  readonly said: Readonly<Record<string, number>>;
  /** What it said to somebody who has a seat. */
  readonly control: string;
  readonly refreshTokensHarvested: number;
}

/** What a way said to somebody who has a seat, by its title. */
export type Control = ReadonlyMap<string, { readonly opens: boolean | null; readonly said: string }>;

/** Worst first: one that got in decides over all that did not. */
const order: readonly WayBackVerdict[] = ['OPEN', 'WINDOW', 'UNKNOWN', 'CLOSED'];

/** Adds samples up, by entry, situation and way. */
export function findingsOf(
  samples: readonly WayBackSample[],
  controls: ReadonlyMap<EntryName, Control>,
): WayBackFinding[] {
  const groups = Map.groupBy(samples, (s) => `${s.entry} ${s.situation} ${s.credential} ${s.title}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const { entry, situation, credential } = first;
    const control = controls.get(entry)?.get(controlKey(first));
    const worst = order.find((verdict) => group.some((sample) => sample.verdict === verdict)) ?? 'UNKNOWN';
    const dwells = group.flatMap(({ dwellMs }) => (dwellMs === null ? [] : [dwellMs]));
    return [
      {
        ...{ entry, situation, credential, door: first.title },
        verdict: worst === 'CLOSED' ? shutOr(control?.opens ?? null) : worst,
        attempts: group.length,
        open: group.filter(({ verdict }) => verdict === 'OPEN' || verdict === 'WINDOW').length,
        dwellMs: worst === 'WINDOW' ? Math.max(...dwells) : null,
        said: countBy(group.map(({ said }) => said)),
        control: control?.said ?? 'not tried',
        refreshTokensHarvested: group.filter((sample) => sample.refreshTokenHarvested).length,
      },
    ];
  });
}

/** Doors are the same whatever token is shown; an alias and the endpoint are ways of their own. */
export function controlKey({ credential, door }: Pick<Way, 'credential' | 'door'>): string {
  return credential === 'alias' || credential === 'new' ? credential : door;
}

/** Shut for losers is CLOSED only where it opens for holders; null: what it does for those is not known. */
function shutOr(opensForHolders: boolean | null): 'CLOSED' | 'NO_DOOR' | 'UNKNOWN' {
  if (opensForHolders === null) return 'UNKNOWN';
  return opensForHolders ? 'CLOSED' : 'NO_DOOR';
}

function countBy(texts: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const text of texts) counts[text] = (counts[text] ?? 0) + 1;
  return counts;
}
