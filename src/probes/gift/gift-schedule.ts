import { indexRandom } from '../../engine/index-random.ts';
import type { Fixture } from '../fixture.ts';

/** Which part of the probe sent a gift; stands in its id. */
export type GiftPhase = 'http' | 'sql' | 'backlog';

const phaseDigit: Readonly<Record<GiftPhase, string>> = { http: '1', sql: '2', backlog: '3' };

export interface PlannedGift {
  readonly giftId: string;
  /** Place of the sender in the fixture's users. */
  readonly sender: number;
  readonly receiver: number;
  readonly amount: number;
}

/** One gift in this many asks for more than its sender can ever have, so that failing is settled under load too. */
const overdrawnEvery = 20;
export const richBalance = 1_000_000;

/**
 * Gift number `index` of a phase: id, people and amount follow from the seed and the number, so they are known before
 * the write and can be asked for afterwards without having been kept.
 */
export class GiftSchedule {
  readonly #tag: string;
  readonly #seed: number;
  readonly #users: number;
  readonly streamId: string;

  constructor(fixture: Fixture, tag: string, seed: number) {
    this.#tag = tag;
    this.#seed = seed;
    this.#users = fixture.users.length;
    // safe: the fixture was made with one stream
    this.streamId = fixture.streamIds[0]!;
  }

  /** `<tag>-000<phase>-4000-8000-<index>`: one tag per run makes it unique. */
  idOf(phase: GiftPhase, index: number): string {
    return `${this.#tag}-000${phaseDigit[phase]}-4000-8000-${index.toString(16).padStart(12, '0')}`;
  }

  gift(phase: GiftPhase, index: number): PlannedGift {
    const random = indexRandom(this.#seed, index);
    const sender = index % this.#users;
    const receiver = (sender + 1 + (random % (this.#users - 1))) % this.#users;
    const isOverdrawn = index % overdrawnEvery === overdrawnEvery - 1;
    const amount = isOverdrawn ? richBalance * this.#users + 1 : 1 + (random % 100);
    return { giftId: this.idOf(phase, index), sender, receiver, amount };
  }
}

/** Which gifts were acknowledged: a bit each, so a day of them is some megabytes. */
export class AcknowledgedGifts {
  #bits = new Uint32Array(1024);
  count = 0;

  add(index: number): void {
    const word = index >>> 5;
    if (word >= this.#bits.length) {
      const larger = new Uint32Array(Math.max(this.#bits.length * 2, word + 1));
      larger.set(this.#bits);
      this.#bits = larger;
    }
    const bit = 1 << (index & 31);
    if ((this.#bits[word]! & bit) === 0) this.count++;
    this.#bits[word]! |= bit;
  }

  /** Lists of at most `size` indexes. */
  *chunks(size: number): Generator<number[]> {
    let chunk: number[] = [];
    for (let index = 0; index < this.#bits.length * 32; index++) {
      if ((this.#bits[index >>> 5]! & (1 << (index & 31))) === 0) continue;
      chunk.push(index);
      if (chunk.length === size) {
        yield chunk;
        chunk = [];
      }
    }
    if (chunk.length > 0) yield chunk;
  }
}
