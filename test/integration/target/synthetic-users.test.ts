import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SupabaseRest } from '../../../src/target/supabase/rest.ts';
import { deleteUsers, signUpUsers } from '../../../src/target/supabase/synthetic-users.ts';

// A GoTrue and PostgREST that fail where a test says so; how the real ones answer is in real-stack.test.ts.
let server: Server;
let service: SupabaseRest;
let accounts: Set<string>;
let answer: (request: IncomingMessage, body: string) => { status: number; body: unknown };

beforeEach(async () => {
  accounts = new Set();
  server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => {
      text += chunk;
    });
    request.on('end', () => {
      const { status, body } = answer(request, text);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // listening on TCP
  service = new SupabaseRest({ supabaseUrl: `http://127.0.0.1:${port}`, apiKey: 'key' });
});
afterEach(async () => {
  await service.close();
  await new Promise((resolve) => server.close(resolve));
});

const users = Array.from({ length: 40 }, (_, i) => ({ id: `user-${i}`, username: `name-${i}` }));

describe('signing users up', () => {
  it('leaves no account behind when it fails on the way', async () => {
    answer = ({ method, url = '' }, body) => {
      if (method === 'DELETE')
        return { status: accounts.delete(url.split('/').at(-1) ?? '') ? 200 : 404, body: {} };
      if (url.startsWith('/auth/v1/token')) return { status: 200, body: { access_token: 'token' } };
      if (accounts.size === 20) return { status: 429, body: { msg: 'over_request_rate_limit' } };
      const { id } = JSON.parse(body) as { id: string };
      accounts.add(id);
      return { status: 200, body: { id } };
    };
    const signedUp = signUpUsers(service, users, 'run', AbortSignal.timeout(20_000));
    await expect(signedUp).rejects.toMatchObject({
      code: 'TF-SUP-003',
      why: expect.stringContaining('rate'),
    });
    expect([...accounts]).toEqual([]);
  });

  it('says how many accounts could not be removed', async () => {
    answer = ({ url = '' }) => ({
      status: url.endsWith('7') ? 500 : url.endsWith('8') ? 404 : 200,
      body: {},
    });
    expect(await deleteUsers(service, users)).toBe(4);
  });
});

it('an RPC may answer with more than a hot answer keeps: the users of a large run', async () => {
  const many = Array.from({ length: 20_000 }, (_, i) => ({ id: `user-${i}`, username: `name-${i}` }));
  answer = () => ({ status: 200, body: { users: many } });
  expect(await service.rpc('create_synthetic_run', {})).toEqual({ users: many });
});
