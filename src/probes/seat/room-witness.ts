import { isIdentityOf, type LiveKitAdmin, type Occupant } from '../../target/livekit/admin.ts';

/**
 * The independent witness of who is in a room: LiveKit's own list, asked for by nobody who enforces anything. Many may
 * look at once; they share the listings.
 */
export class RoomWitness {
  readonly #admin: LiveKitAdmin;
  readonly #room: string;
  #running: Promise<readonly Occupant[]> | undefined;
  #next: Promise<readonly Occupant[]> | undefined;

  constructor(admin: LiveKitAdmin, room: string) {
    this.#admin = admin;
    this.#room = room;
  }

  /** The room as it is now: a listing that was asked for after this call. @throws LiveKitError */
  look(): Promise<readonly Occupant[]> {
    this.#next ??= this.#after(this.#running);
    return this.#next;
  }

  /**
   * Sessions of a user, under their id or an alias, that break a rule: any session for somebody who must be out, one
   * that may publish for somebody who may only watch.
   */
  async offending(userId: string, mayWatch: boolean): Promise<string[]> {
    const occupants = await this.look();
    return occupants
      .filter((occupant) => isIdentityOf(occupant.identity, userId))
      .filter((occupant) => (mayWatch ? occupant.canPublish : canDoAnything(occupant)))
      .map(({ identity }) => identity);
  }

  /** Takes every session of the user out, however it came in. */
  async clear(userId: string): Promise<void> {
    for (let round = 0; round < clearRounds; round++) {
      const occupants = await this.look();
      const left = occupants.filter((occupant) => isIdentityOf(occupant.identity, userId));
      if (!left.some(canDoAnything)) return;
      for (const { identity } of left) await this.#admin.remove(this.#room, identity).catch(ignoreOddAnswer);
    }
  }

  async #after(running: Promise<unknown> | undefined): Promise<readonly Occupant[]> {
    await running?.catch(() => {});
    const listing = this.#admin.occupants(this.#room);
    this.#running = listing;
    this.#next = undefined;
    return listing;
  }
}

/** One round empties the room, a second meets what ended by itself meanwhile. */
const clearRounds = 3;

/**
 * A removal that meets a session which is ending by itself gets no answer from 1.11.0; the next listing decides
 * whether there is anybody left.
 */
function ignoreOddAnswer(): void {}

/** Whoever may neither watch nor send is no guest: a guard's tripwire sits in the room like that, under a banned id. */
function canDoAnything({ canPublish, canPublishData, canSubscribe }: Occupant): boolean {
  return canPublish || canPublishData || canSubscribe;
}
