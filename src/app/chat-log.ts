/** A chat message with all that showing it takes: the sender's name and picture come along, so no look-up is needed. */
export interface ChatMessage {
  readonly id: string;
  readonly userId: string;
  /** null while it is being sent: the database names the sender. */
  readonly name: string | null;
  readonly avatarUrl: string | null;
  readonly body: string;
  /** ISO 8601, by the database's clock; null while it is being sent. */
  readonly sentAt: string | null;
  /**
   * `sending`: ours, on its way. `heard`: a client said so, the database did not yet. `stored`: as the database has it.
   */
  readonly state: 'sending' | 'heard' | 'stored';
}

/** What anybody scrolls back to; more only costs memory and layout. */
const keptMax = 200;
/** What one hears of others before the database confirms it: far more than a room sends in the time that takes. */
const heardMax = 100;

/** The messages of one stream in order, each once, however often and by whichever way it came. */
export class ChatLog {
  readonly #messages = new Map<string, ChatMessage>();
  #list: readonly ChatMessage[] = [];

  /** Oldest first; what is still being sent comes last. The same array until something changes. */
  get list(): readonly ChatMessage[] {
    return this.#list;
  }

  has(id: string): boolean {
    return this.#messages.has(id);
  }

  /** What the database says, which replaces whatever was there. */
  store(messages: readonly ChatMessage[]): void {
    for (const message of messages) this.#messages.set(message.id, { ...message, state: 'stored' });
    this.#arrange();
  }

  /** Our own message, before anybody has it. */
  send(message: Pick<ChatMessage, 'id' | 'userId' | 'body'>): void {
    this.#messages.set(message.id, {
      ...message,
      name: null,
      avatarUrl: null,
      sentAt: null,
      state: 'sending',
    });
    this.#arrange();
  }

  /** What another client says. @returns false when it is known already, or too much is waiting to be confirmed */
  hear(message: ChatMessage): boolean {
    if (this.#messages.has(message.id) || this.heard().length >= heardMax) return false;
    this.#messages.set(message.id, { ...message, state: 'heard' });
    this.#arrange();
    return true;
  }

  /** Ids of what is not confirmed. */
  heard(): string[] {
    return this.#list.filter(({ state }) => state === 'heard').map(({ id }) => id);
  }

  /** Takes back what was not sent after all, or what nobody confirmed. What is stored stays. */
  drop(ids: readonly string[]): void {
    for (const id of ids) if (this.#messages.get(id)?.state !== 'stored') this.#messages.delete(id);
    this.#arrange();
  }

  #arrange(): void {
    const sorted = [...this.#messages.values()].sort(byTime);
    for (const { id } of sorted.splice(0, sorted.length - keptMax)) this.#messages.delete(id);
    this.#list = sorted;
  }
}

function byTime(a: ChatMessage, b: ChatMessage): number {
  return timeOf(a) - timeOf(b);
}

function timeOf({ sentAt }: ChatMessage): number {
  return sentAt === null ? Number.MAX_SAFE_INTEGER : Date.parse(sentAt);
}
