import { randomBytes } from 'node:crypto';
import { createClient, type SupabaseClient } from '@supabase/supabase-js';
import { silentLogger } from '../../../src/kernel/log.ts';
import type { DemoOptions } from '../../../src/local/gateway/demo-site.ts';
import { type Gateway, startGateway } from '../../../src/local/gateway/gateway.ts';
import { type ApiKeys, mintApiKeys } from '../../../src/local/gateway/keys.ts';
import { mintUserToken } from '../../../src/target/supabase/synthetic-users.ts';
import { Provisioned } from '../database/provisioned.ts';
import { type SocketTap, tappedSocket } from './socket-tap.ts';

/** A signed-in browser: the official client of one user, with a tap on its socket and its requests. */
export interface Browser {
  readonly supabase: SupabaseClient;
  readonly userId: string;
  readonly streamId: string;
  readonly tap: SocketTap;
  /** Called before every request; awaited, so it can hold one back. */
  beforeAnswer: ((url: string) => Promise<void>) | undefined;
  close(): Promise<void>;
}

export interface BrowserOptions {
  /** As another user of the same stream. */
  readonly of?: Browser;
  /** Of the token in hand; an hour by default. Every new token lives as long. */
  readonly tokenLifeS?: number;
}

interface Parts {
  readonly database: Provisioned;
  readonly jwtSecret: string;
  readonly keys: ApiKeys;
  /** Starts the gateway; port 0 takes any. */
  readonly open: (port: number) => Promise<Gateway>;
}

/** The app's database behind the real gateway, and clients as browsers have them. */
export class AppStage implements AsyncDisposable {
  readonly database: Provisioned;
  readonly #jwtSecret: string;
  readonly #keys: ApiKeys;
  readonly #open: Parts['open'];
  readonly #browsers = new Set<Browser>();
  readonly #guests = new Set<SupabaseClient>();
  #gateway: Gateway;

  private constructor(parts: Parts, gateway: Gateway) {
    this.database = parts.database;
    this.#jwtSecret = parts.jwtSecret;
    this.#keys = parts.keys;
    this.#open = parts.open;
    this.#gateway = gateway;
  }

  static async start(demo: DemoOptions | null = null): Promise<AppStage> {
    const database = await Provisioned.start();
    const jwtSecret = randomBytes(32).toString('hex');
    const keys = await mintApiKeys(jwtSecret);
    const open = (port: number) =>
      startGateway({
        host: '127.0.0.1',
        port,
        adminUrl: database.postgres.adminUrl,
        authenticatorUrl: database.postgres.authenticatorUrl,
        jwtSecret,
        apiKeys: keys,
        livekit: null,
        quota: null,
        demo,
        log: silentLogger,
      });
    return new AppStage({ database, jwtSecret, keys, open }, await open(0));
  }

  get url(): string {
    return this.#gateway.url;
  }

  /** The server goes away; `away` happens meanwhile; it comes back on the same port. */
  async restartGateway(away: () => Promise<unknown>): Promise<void> {
    const { port } = this.#gateway;
    await this.#gateway.stop();
    await away();
    this.#gateway = await this.#open(port);
  }

  /** A new real user on a new stream, or on that of another browser. */
  async browser(options: BrowserOptions = {}): Promise<Browser> {
    const people = await this.database.realPeople(1, 1000);
    const [userId = ''] = people.users;
    const tap = tappedSocket();
    const lifeS = options.tokenLifeS ?? 3600;
    const accessToken = async () => this.token(userId, lifeS);
    const tappedFetch: typeof fetch = async (input, init) => {
      const response = await fetch(input, init);
      await browser.beforeAnswer?.(String(input));
      return response;
    };
    const supabase = createClient(this.url, this.#keys.anon, {
      auth: { persistSession: false, autoRefreshToken: false },
      accessToken,
      global: { fetch: tappedFetch },
      realtime: { transport: tap.transport },
    });
    const browser: Browser = {
      supabase,
      userId,
      streamId: options.of?.streamId ?? people.stream,
      tap,
      beforeAnswer: undefined,
      close: async () => {
        this.#browsers.delete(browser);
        await supabase.removeAllChannels();
        await supabase.realtime.disconnect();
      },
    };
    this.#browsers.add(browser);
    return browser;
  }

  /** As the gateway gives it to somebody who signs in. */
  token(userId: string, lifeS = 3600): string {
    const nowS = Math.floor(Date.now() / 1000);
    return mintUserToken(this.#jwtSecret, userId, nowS, nowS + lifeS);
  }

  get anonKey(): string {
    return this.#keys.anon;
  }

  /** A client that nobody is signed in with. */
  guest(): SupabaseClient {
    const supabase = createClient(this.url, this.#keys.anon, {
      auth: { persistSession: false, autoRefreshToken: false },
    });
    this.#guests.add(supabase);
    return supabase;
  }

  grant({ streamId, userId }: Browser, expiresInMs: number | null = null): Promise<unknown> {
    return this.database.one(
      `select grant_seat($1, $2, p_expires_at =>
        case when $3::int is null then null else clock_timestamp() + make_interval(secs => $3 / 1000.0) end)`,
      [streamId, userId, expiresInMs],
    );
  }

  revoke({ streamId, userId }: Browser, reason: string, until: string | null = null): Promise<unknown> {
    return this.database.one('select revoke_seat($1, $2, $3, $4)', [streamId, userId, reason, until]);
  }

  restore({ streamId, userId }: Browser): Promise<unknown> {
    return this.database.one('select restore_seat($1, $2)', [streamId, userId]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([...this.#browsers].map((browser) => browser.close()));
    await Promise.allSettled([...this.#guests].map((guest) => guest.removeAllChannels()));
    await this.#gateway.stop();
    await this.database[Symbol.asyncDispose]();
  }
}
