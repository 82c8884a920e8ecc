/** What became of one message at the receivers of a room. */
export interface DeliveryCounts {
  /** First deliveries, each message and receiver once. */
  delivered: number;
  /** Accepted by the server, and never delivered to a receiver that should have had it. */
  lost: number;
  /** Delivered again. */
  duplicated: number;
  /** Delivered after a later message of the same sender. */
  reordered: number;
  /** Not delivered, and it is not known whether it should have been: never accepted, or the receiver was cut off. */
  unknown: number;
  /** Delivered although the server had refused it, or nobody had sent it. */
  unexpected: number;
}

export type Delivery = 'first' | 'duplicate' | 'unexpected';

const [free, open, accepted, refused] = [0, 1, 2, 3] as const;
const none = -1;

export interface RoomOptions {
  readonly receivers: number;
  readonly senders: number;
  /** Messages that are remembered at once; a power of two. Older ones are settled when their place is taken. */
  readonly window: number;
  /** The two kinds of client that must agree: true for receivers of the official client. */
  readonly isOfficial: (receiver: number) => boolean;
}

/**
 * Who of a room got which message. Messages are numbered 0, 1, 2 … in the room before they are sent. All state is
 * in rings of fixed size: a long run takes no more memory than a short one.
 */
export class RoomDeliveries {
  readonly counts: DeliveryCounts = {
    delivered: 0,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    unknown: 0,
    unexpected: 0,
  };
  /** Messages that one kind of client got in full and the other did not. */
  disagreements = 0;
  /** Messages that the server neither took nor refused. */
  unanswered = 0;
  /** Of the receivers of the official client. */
  readonly official = { delivered: 0, lost: 0 };
  /** Lost deliveries per receiver. */
  readonly lostBy: Uint32Array;
  readonly #options: RoomOptions;
  readonly #words: number;
  readonly #message: Float64Array;
  readonly #state: Uint8Array;
  readonly #sender: Int32Array;
  readonly #missing: Int32Array;
  readonly #seen: Uint32Array;
  /** Receivers a message is meant for, by the time it was sent. */
  readonly #wanted: Uint32Array;
  readonly #newest: Float64Array;
  readonly #cut: Uint8Array;

  constructor(options: RoomOptions) {
    const { receivers, senders, window } = options;
    this.#options = options;
    this.#words = Math.ceil(receivers / 32);
    this.#message = new Float64Array(window).fill(none);
    this.#state = new Uint8Array(window);
    this.#sender = new Int32Array(window);
    this.#missing = new Int32Array(window);
    this.#seen = new Uint32Array(window * this.#words);
    this.#wanted = new Uint32Array(window * this.#words);
    this.#newest = new Float64Array(receivers * senders).fill(none);
    this.#cut = new Uint8Array(receivers);
    this.lostBy = new Uint32Array(receivers);
  }

  /**
   * Message `message` is about to be sent; it is meant for every receiver that is connected, except `exceptReceiver`
   * (the sender's own connection, −1 when the sender receives nothing).
   * @returns how many receivers that is
   */
  open(message: number, sender: number, exceptReceiver: number): number {
    const place = this.#placeOf(message);
    if (this.#state[place] !== free) this.#settle(place);
    this.#message[place] = message;
    this.#state[place] = open;
    this.#sender[place] = sender;
    let wanted = 0;
    for (let receiver = 0; receiver < this.#options.receivers; receiver++) {
      if (receiver === exceptReceiver || this.#cut[receiver] === 1) continue;
      this.#wanted[place * this.#words + (receiver >>> 5)]! |= 1 << (receiver & 31);
      wanted++;
    }
    this.#missing[place] = wanted;
    return wanted;
  }

  /** The server took it: from now on a receiver without it has lost it. @returns deliveries still missing */
  accept(message: number): number {
    const place = this.#knownPlace(message);
    if (place === none) return 0;
    this.#state[place] = accepted;
    return this.#missing[place]!;
  }

  /** The server refused it, or it was never sent: nobody should get it. */
  refuse(message: number): void {
    const place = this.#knownPlace(message);
    if (place !== none) this.#state[place] = refused;
  }

  isAccepted(message: number): boolean {
    const place = this.#knownPlace(message);
    return place !== none && this.#state[place] === accepted;
  }

  /** Deliveries a message still lacks, 0 when it is not known any more. */
  missing(message: number): number {
    const place = this.#knownPlace(message);
    return place === none ? 0 : this.#missing[place]!;
  }

  deliver(message: number, receiver: number): Delivery {
    const place = this.#knownPlace(message);
    const word = place * this.#words + (receiver >>> 5);
    const bit = 1 << (receiver & 31);
    if (place === none || this.#state[place] === refused || (this.#wanted[word]! & bit) === 0) {
      this.counts.unexpected++;
      return 'unexpected';
    }
    if ((this.#seen[word]! & bit) !== 0) {
      this.counts.duplicated++;
      return 'duplicate';
    }
    this.#seen[word]! |= bit;
    this.#missing[place]!--;
    this.counts.delivered++;
    if (this.#options.isOfficial(receiver)) this.official.delivered++;
    this.#checkOrder(message, receiver, this.#sender[place]!);
    return 'first';
  }

  /** The server ended this receiver's channel: what it lacks from now on is unknown, not lost. */
  cut(receiver: number): void {
    this.#cut[receiver] = 1;
  }

  /** Settles everything that is still remembered; call it once nothing can arrive any more. */
  finish(): void {
    for (let place = 0; place < this.#options.window; place++) {
      if (this.#state[place] !== free) this.#settle(place);
    }
  }

  #checkOrder(message: number, receiver: number, sender: number): void {
    const at = receiver * this.#options.senders + sender;
    if (message < this.#newest[at]!) this.counts.reordered++;
    else this.#newest[at] = message;
  }

  #settle(place: number): void {
    let [rawMissing, officialMissing] = [0, 0];
    if (this.#state[place] === open) this.unanswered++;
    if (this.#missing[place]! > 0 && this.#state[place] !== refused) {
      for (let receiver = 0; receiver < this.#options.receivers; receiver++) {
        if (!this.#lacks(place, receiver)) continue;
        if (this.#state[place] !== accepted || this.#cut[receiver] === 1) {
          this.counts.unknown++;
          continue;
        }
        this.counts.lost++;
        this.lostBy[receiver]!++;
        if (this.#options.isOfficial(receiver)) officialMissing++;
        else rawMissing++;
      }
    }
    this.official.lost += officialMissing;
    if (rawMissing > 0 !== officialMissing > 0 && this.#hasBothKinds()) this.disagreements++;
    this.#state[place] = free;
    this.#message[place] = none;
    const from = place * this.#words;
    this.#seen.fill(0, from, from + this.#words);
    this.#wanted.fill(0, from, from + this.#words);
  }

  #lacks(place: number, receiver: number): boolean {
    const word = place * this.#words + (receiver >>> 5);
    return (this.#wanted[word]! & ~this.#seen[word]! & (1 << (receiver & 31))) !== 0;
  }

  #hasBothKinds(): boolean {
    let officials = 0;
    for (let receiver = 0; receiver < this.#options.receivers; receiver++) {
      if (this.#options.isOfficial(receiver)) officials++;
    }
    return officials > 0 && officials < this.#options.receivers;
  }

  #placeOf(message: number): number {
    return message & (this.#options.window - 1);
  }

  #knownPlace(message: number): number {
    if (!(message >= 0)) return none;
    const place = this.#placeOf(message);
    return this.#message[place] === message ? place : none;
  }
}

/** The window that covers everything which may still arrive: twice the timeout at the room's rate. */
export function windowFor(ratePerS: number, timeoutMs: number): number {
  const wanted = Math.max(1024, (2 * ratePerS * timeoutMs) / 1000);
  // 2^20 messages are 128 KiB of bits per 1 receiver; no single room on this machine goes faster
  return 2 ** Math.min(20, Math.ceil(Math.log2(wanted)));
}
