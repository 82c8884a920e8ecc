import type { TokenAsk } from '../../target/livekit/token-form.ts';
import type { Asker, Part, Scene } from './scene.ts';

export type Group =
  | 'honest'
  | 'flags'
  | 'identity'
  | 'room'
  | 'ttl'
  | 'body'
  | 'transport'
  | 'seat'
  | 'caller';

/** What a token may at most grant. */
export interface Allowance {
  readonly user: Asker;
  /** The room by the name that was asked for. */
  readonly stream: string;
  readonly canPublish: boolean;
}

/**
 * token: exactly this must be granted. at_most: a refusal, or exactly this. refused: no token at all.
 */
type Expectation =
  | { readonly kind: 'token' | 'at_most'; readonly allow: Allowance }
  | { readonly kind: 'refused' };

/** One hostile (or honest) question, and what may be answered. */
export interface TokenCase {
  readonly group: Group;
  readonly name: string;
  /** The question, or what is missing to ask it. */
  readonly ask: TokenAsk | { readonly missing: string };
  readonly expect: Expectation;
}

/** How a token is asked for: more than the room is hostile. */
type Extras = Omit<Partial<TokenAsk>, 'jwt' | 'apiKey'>;

/** Writes cases for one scene; what the scene lacks makes a case that says so. */
export class CaseWriter {
  readonly scene: Scene;

  constructor(scene: Scene) {
    this.scene = scene;
  }

  /** Must get a token that grants no more and no less. */
  honest(part: Part, name: string, extras: Extras = {}): TokenCase {
    return this.#case('honest', 'token', part, name, extras);
  }

  /** May get what an honest request gets, or nothing. */
  atMost(group: Group, part: Part, name: string, extras: Extras): TokenCase {
    return this.#case(group, 'at_most', part, name, extras);
  }

  /** Had more once. Our own rules give such a user what a viewer gets, others may give nothing. */
  lost(part: Part, name: string, extras: Extras): TokenCase {
    return this.scene.strict ? this.honest(part, name, extras) : this.atMost('seat', part, name, extras);
  }

  /** Must get nothing. */
  refused(group: Group, part: Part, name: string, extras: Extras = {}): TokenCase {
    const asker = this.scene.people[part];
    const ask = asker === undefined ? { missing: missingPart(part) } : this.ask(asker, extras);
    return { group, name, ask, expect: { kind: 'refused' } };
  }

  /** Must get nothing, with this JWT in place of a session. */
  refusedCaller(
    name: string,
    jwt: string | null | { readonly missing: string },
    extras: Extras = {},
  ): TokenCase {
    const id = this.anybody()?.id ?? null;
    const isMissing = typeof jwt === 'object' && jwt !== null;
    const ask = isMissing ? jwt : this.ask({ id, jwt }, extras);
    return { group: 'caller', name, ask, expect: { kind: 'refused' } };
  }

  /** Somebody with a session: who it is does not matter. */
  anybody(): Asker | undefined {
    return this.scene.people.viewer ?? this.scene.people.speaker;
  }

  ask(asker: Asker, extras: Extras): TokenAsk {
    const { apiKey, stream } = this.scene;
    return { jwt: asker.jwt, apiKey, room: stream, identity: asker.id ?? 'trollfix-probe', ...extras };
  }

  #case(group: Group, kind: 'token' | 'at_most', part: Part, name: string, extras: Extras): TokenCase {
    const { people, stream } = this.scene;
    const asker = people[part];
    const elsewhere = group === 'honest' && typeof extras.room === 'string' ? extras.room : stream;
    const user = asker ?? { id: null, jwt: null };
    // a seat is on one stream: on another even a speaker only watches
    const canPublish = part === 'speaker' && elsewhere === stream;
    const expect = { kind, allow: { user, stream: elsewhere, canPublish } };
    const ask = asker === undefined ? { missing: missingPart(part) } : this.ask(asker, extras);
    return { group, name, ask, expect };
  }
}

const partWords: Readonly<Record<Part, string>> = {
  viewer: 'a user who may watch',
  speaker: 'a user who may publish',
  listener: 'a user whose seat may not publish',
  downgraded: 'a user who lost the right to publish',
  expired: 'a user whose seat is over',
  banned: 'a banned user',
};

function missingPart(part: Part): string {
  return `needs the session of ${partWords[part]} (\`${part}\`)`;
}
