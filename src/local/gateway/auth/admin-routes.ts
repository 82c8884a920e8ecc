import { AuthError, emailExists, invalid, userNotFound } from './auth-error.ts';
import { type AuthAnswer, type AuthInput, type AuthTransaction, ok } from './auth-exchange.ts';
import {
  countUsersSql,
  deleteIdentitiesSql,
  deleteSessionsSql,
  deleteUserSql,
  listUsersSql,
  softDeleteUserSql,
} from './auth-queries.sql.ts';
import { readObject, uuidPattern } from './request-body.ts';
import {
  checkedEmail,
  checkedMetadata,
  checkedPassword,
  findUserByEmail,
  findUserById,
  insertUser,
  isTaken,
  type UserRow,
  updateUser,
  userJson,
} from './users.ts';

const perPageDefault = 50;
/** GoTrue's own bound. */
const perPageLimit = 1000;

/** `/auth/v1/admin/users`: what the service role may do to users. The caller was checked before. */
export class AdminRoutes {
  readonly #transaction: AuthTransaction;

  constructor(transaction: AuthTransaction) {
    this.#transaction = transaction;
  }

  /** @throws AuthError */
  async handle(input: AuthInput): Promise<AuthAnswer> {
    const { method, path } = input;
    if (path === '/admin/users') {
      if (method === 'GET') return this.#list(input);
      if (method === 'POST') return ok(await this.#create(readObject(input.body)));
    }
    const id = /^\/admin\/users\/([^/]+)$/.exec(path)?.[1];
    if (id === undefined) throw new AuthError(404, 'not_found', `no route ${method} ${path}`);
    if (!uuidPattern.test(id)) throw new AuthError(404, 'validation_failed', 'user_id must be an UUID');
    if (method === 'GET') return ok(userJson(await this.#find(id)));
    if (method === 'PUT') return ok(await this.#update(id, readObject(input.body)));
    if (method === 'DELETE') {
      await this.#delete(id, readObject(input.body).should_soft_delete === true);
      return ok({});
    }
    throw new AuthError(405, 'not_found', `no route ${method} ${path}`);
  }

  async #find(id: string): Promise<UserRow> {
    const user = await this.#transaction((client) => findUserById(client, id));
    if (!user) throw userNotFound();
    return user;
  }

  async #list(input: AuthInput): Promise<AuthAnswer> {
    const params = new URLSearchParams(input.query);
    const page = positive(params.get('page'), 1);
    const perPage = Math.min(positive(params.get('per_page'), perPageDefault), perPageLimit);
    const { users, total } = await this.#transaction(async (client) => {
      const found = await client.query<UserRow>(listUsersSql, [perPage, (page - 1) * perPage]);
      const counted = await client.query<{ total: number }>(countUsersSql);
      return { users: found.rows, total: counted.rows[0]?.total ?? 0 };
    });
    const lastPage = Math.max(1, Math.ceil(total / perPage));
    const links = [
      ...(page < lastPage ? [`</admin/users?page=${page + 1}&per_page=${perPage}>; rel="next"`] : []),
      `</admin/users?page=${lastPage}&per_page=${perPage}>; rel="last"`,
    ];
    return {
      status: 200,
      headers: { 'X-Total-Count': String(total), Link: links.join(', ') },
      body: { users: users.map(userJson), aud: 'authenticated' },
    };
  }

  async #create(body: Record<string, unknown>): Promise<unknown> {
    const email = optional(body.email, checkedEmail);
    const phone = optional(body.phone, checkedText);
    if (email === undefined && phone === undefined)
      throw invalid('Cannot create a user without either an email or phone');
    const id = optional(body.id, checkedText);
    if (id !== undefined && !uuidPattern.test(id)) throw invalid('ID must conform to the uuid v4 format');
    const user = {
      id,
      email,
      phone,
      password: optional(body.password, checkedPassword),
      confirmed: body.email_confirm === true,
      role: optional(body.role, checkedText),
      userMetadata: checkedMetadata(body.user_metadata, 'user_metadata'),
      appMetadata: checkedMetadata(body.app_metadata, 'app_metadata'),
      bannedUntil: banEnd(body.ban_duration) ?? undefined,
    };
    const row = await this.#transaction(async (client) => {
      if (email !== undefined && (await findUserByEmail(client, email))) throw emailExists();
      return insertUser(client, user);
    }).catch((error: unknown) => {
      throw isTaken(error) ? emailExists() : error;
    });
    return userJson(row);
  }

  async #update(id: string, body: Record<string, unknown>): Promise<unknown> {
    const changes = {
      email: optional(body.email, checkedEmail),
      phone: optional(body.phone, checkedText),
      password: optional(body.password, checkedPassword),
      role: optional(body.role, checkedText),
      confirm: body.email_confirm === true,
      userMetadata: optional(body.user_metadata, (value) => checkedMetadata(value, 'user_metadata')),
      appMetadata: optional(body.app_metadata, (value) => checkedMetadata(value, 'app_metadata')),
      bannedUntil: banEnd(body.ban_duration),
    };
    const row = await this.#transaction(async (client) => {
      if (changes.email !== undefined) {
        const other = await findUserByEmail(client, changes.email);
        if (other && other.id !== id) throw emailExists();
      }
      return updateUser(client, id, changes);
    });
    return userJson(row);
  }

  async #delete(id: string, soft: boolean): Promise<void> {
    await this.#transaction(async (client) => {
      if (soft) {
        await client.query(deleteSessionsSql, [id, null, 'global']);
        await client.query(deleteIdentitiesSql, [id]);
      }
      const { rowCount } = await client.query(soft ? softDeleteUserSql : deleteUserSql, [id]);
      if (rowCount === 0) throw userNotFound();
    });
  }
}

function optional<T>(value: unknown, check: (value: unknown) => T): T | undefined {
  return value === undefined || value === null || value === '' ? undefined : check(value);
}

/** @throws AuthError */
function checkedText(value: unknown): string {
  if (typeof value !== 'string' || value.length > 255 || value.includes('\0')) {
    throw invalid('a text of at most 255 characters was expected');
  }
  return value;
}

function positive(text: string | null, fallback: number): number {
  return text !== null && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : fallback;
}

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 };

/** `24h`, `1h30m`: until then; `none` lifts (null); undefined leaves it. @throws AuthError */
function banEnd(value: unknown): Date | null | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (value === 'none') return null;
  const text = String(value);
  const parts = [...text.matchAll(/(\d{1,9}(?:\.\d+)?)([smh])/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) {
    throw invalid('invalid format for ban duration: use time units s, m, h, as in 24h, or none');
  }
  const ms = parts.reduce((sum, [, digits, unit]) => sum + Number(digits) * (unitMs[unit ?? ''] ?? 0), 0);
  const end = new Date(Date.now() + ms);
  // PostgreSQL reads years of four digits; a ban that long is for ever
  return end.getUTCFullYear() > 9999 || Number.isNaN(end.getTime()) ? new Date('9999-12-31T00:00:00Z') : end;
}
