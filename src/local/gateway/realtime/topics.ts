import type { Channel } from './channel.ts';
import { Presence } from './presence.ts';

/** One topic: everybody joined to it on this gateway. Private and public channels of one name never meet. */
export class Topic {
  readonly name: string;
  readonly isPrivate: boolean;
  readonly members = new Set<Channel>();
  readonly presence = new Presence();

  constructor(name: string, isPrivate: boolean) {
    this.name = name;
    this.isPrivate = isPrivate;
  }
}

/** All topics with at least one member. */
export class Topics {
  readonly #topics = new Map<string, Topic>();

  find(name: string, isPrivate: boolean): Topic | undefined {
    return this.#topics.get(keyOf(name, isPrivate));
  }

  join(channel: Channel): Topic {
    const key = keyOf(channel.name, channel.config.isPrivate);
    let topic = this.#topics.get(key);
    if (!topic) {
      topic = new Topic(channel.name, channel.config.isPrivate);
      this.#topics.set(key, topic);
    }
    topic.members.add(channel);
    return topic;
  }

  leave(topic: Topic, channel: Channel): void {
    topic.members.delete(channel);
    if (topic.members.size === 0) this.#topics.delete(keyOf(topic.name, topic.isPrivate));
  }

  get size(): number {
    return this.#topics.size;
  }
}

// the first character decides, so no topic name can reach into the other kind
function keyOf(name: string, isPrivate: boolean): string {
  return isPrivate ? `!${name}` : `=${name}`;
}
