import type { RealtimeClientOptions } from '@supabase/supabase-js';

type Transport = NonNullable<RealtimeClientOptions['transport']>;

/** What a test does to the Realtime messages that one client receives. */
export interface SocketTap {
  /** For `createClient(…, { realtime: { transport } })`. */
  readonly transport: Transport;
  /** Postgres Changes are lost on the way. */
  loseChanges: boolean;
  /**
   * As hosted Realtime behaves for seconds after a join: SUBSCRIBED, but the word that changes flow is not there, and
   * what changes meanwhile never arrives. Set back to false, what was held back is let through.
   */
  holdFlow: boolean;
  /** Events that arrived, in order; `system:ok` for the word that changes flow. */
  readonly seen: string[];
  /** Changes that were lost as told. */
  readonly lost: number;
  /** The connection breaks, as by a network that is gone. */
  cut(): void;
}

type Listener = (event: MessageEvent) => void;

/** A WebSocket between supabase-js and the real server that loses messages as told. */
export function tappedSocket(): SocketTap {
  const seen: string[] = [];
  const sockets = new Set<TappedWebSocket>();
  const held: Array<() => void> = [];
  let lost = 0;
  let holdFlow = false;

  class TappedWebSocket extends WebSocket {
    #listener: Listener | null = null;

    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      sockets.add(this);
      super.onmessage = (event) => this.#receive(event);
    }

    override get onmessage(): Listener | null {
      return this.#listener;
    }

    override set onmessage(listener: Listener | null) {
      this.#listener = listener;
    }

    /** supabase-js sees what it sees when a cable is pulled: closed, and not by itself. */
    cut(): void {
      sockets.delete(this);
      super.onmessage = null;
      const { onclose } = this;
      this.onclose = null;
      this.close();
      onclose?.call(
        this,
        new CloseEvent('close', { code: 1006, reason: 'cut by the test', wasClean: false }),
      );
    }

    #receive(event: MessageEvent): void {
      const name = eventName(event.data);
      const isFlow = name === 'system:ok';
      if (name === 'postgres_changes' && (tap.loseChanges || holdFlow)) {
        lost += 1;
        return;
      }
      const deliver = () => {
        seen.push(name);
        this.#listener?.(event);
      };
      if (isFlow && holdFlow) held.push(deliver);
      else deliver();
    }
  }

  const tap: SocketTap = {
    // supabase-js constructs it and sets the handlers, as with the WebSocket it is
    transport: TappedWebSocket as unknown as Transport,
    loseChanges: false,
    get holdFlow() {
      return holdFlow;
    },
    set holdFlow(hold) {
      holdFlow = hold;
      if (!hold) for (const deliver of held.splice(0)) deliver();
    },
    seen,
    get lost() {
      return lost;
    },
    cut: () => {
      for (const socket of [...sockets]) socket.cut();
    },
  };
  return tap;
}

/** Of a frame of serializer 2.0.0: `[join_ref, ref, topic, event, payload]`, or a binary broadcast. */
function eventName(data: unknown): string {
  if (typeof data !== 'string') return 'broadcast';
  const frame: unknown = JSON.parse(data);
  if (!Array.isArray(frame)) return '?';
  const [, , , event, payload] = frame as unknown[]; // of a JSON list
  const isFlow = event === 'system' && JSON.stringify(payload).includes('"status":"ok"');
  return isFlow ? 'system:ok' : String(event);
}
