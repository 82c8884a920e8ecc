import type { CaseWriter, TokenCase } from './hostile-case.ts';

const poison =
  '{"canPublish":true,"roomAdmin":true,"can_publish":true,"role":"service_role","state":"active","isAdmin":true}';

/** Above every limit for a request that names a stream, and small enough that a server can refuse it in peace. */
const hugeChars = 256 * 1024;

/** Bodies that are poisoned, ambiguous or no request at all. */
export function bodyCases(write: CaseWriter): TokenCase[] {
  const { stream } = write.scene;
  const whole = (name: string, body: string) =>
    write.refused('body', 'viewer', name, { rewrite: () => body });
  const beside = (name: string, rest: string) =>
    write.atMost('body', 'viewer', name, { rewrite: (json) => appended(json, rest) });
  return [
    beside('__proto__', `"__proto__":${poison}`),
    beside('constructor.prototype', `"constructor":{"prototype":${poison}}`),
    beside('__proto__ inside the grants', `"video":{"__proto__":${poison}},"grants":{"__proto__":${poison}}`),
    beside(
      'room configuration and kind',
      '"roomConfig":{"agents":[{"agentName":"x"}]},"room_config":{"agents":[{"agent_name":"x"}]},"roomPreset":"x","kind":"agent"',
    ),
    beside('sip and inference', '"sip":{"admin":true,"call":true},"inference":{"perform":true}'),
    beside(
      'a seat of its own',
      '"seat":{"role":"host","can_publish":true,"state":"active"},"context":{"ban":null},"canPublish":true',
    ),
    write.atMost('body', 'viewer', 'every key twice', {
      rewrite: (json) => appended(json, json.slice(1, -1)),
    }),
    // after the attempts to poison prototypes: nobody else's token may have changed
    write.honest('viewer', 'a viewer after the pollution attempts'),
    whole('no JSON', 'streamId=1'),
    whole('an empty body', ''),
    whole('an empty object', '{}'),
    whole('a list', JSON.stringify([stream])),
    whole('null', 'null'),
    whole('a number', '1e999'),
    whole('deep nesting', `{"streamId":${'['.repeat(2_000)}${']'.repeat(2_000)}}`),
    write.refused('body', 'viewer', 'an object for an id', { room: { id: stream } }),
    write.refused('body', 'viewer', 'a list for an id', { room: [stream] }),
    write.atMost('body', 'viewer', `${hugeChars / 1024} KiB of nothing`, {
      extra: { pad: 'x'.repeat(hugeChars) },
    }),
  ];
}

/** The same question by another method, with other headers or another content type. */
export function transportCases(write: CaseWriter): TokenCase[] {
  const { stream, people } = write.scene;
  const other = people.speaker?.id ?? '00000000-0000-4000-8000-0000000000ff';
  const wishes = { room: stream, streamId: stream, canPublish: 'true', roomAdmin: 'true', identity: other };
  const by = (name: string, extras: Parameters<CaseWriter['atMost']>[3]) =>
    write.atMost('transport', 'viewer', name, extras);
  return [
    by('GET with everything in the query string', { method: 'GET', query: wishes }),
    by('PUT', { method: 'PUT', extra: { canPublish: true } }),
    by('DELETE', { method: 'DELETE' }),
    by('a method override', {
      headers: { 'x-http-method-override': 'GET', 'x-method-override': 'PUT', 'x-http-method': 'PATCH' },
    }),
    by('the identity in headers', {
      headers: {
        ...{ 'x-user-id': other, 'x-forwarded-user': other, 'x-identity': other },
        ...{ 'x-supabase-user': other, 'x-hasura-user-id': other, 'x-remote-user': other },
      },
    }),
    by('a role in headers', {
      headers: {
        ...{ 'x-role': 'service_role', 'x-hasura-role': 'admin', 'x-supabase-role': 'service_role' },
        ...{ 'x-forwarded-for': '127.0.0.1', 'x-real-ip': '127.0.0.1', 'x-admin': 'true' },
      },
    }),
    by('the claims in headers', {
      headers: {
        'x-jwt-claims': JSON.stringify({ sub: other, role: 'service_role' }),
        'x-supabase-auth': JSON.stringify({ sub: other, role: 'service_role' }),
        'request.jwt.claims': JSON.stringify({ sub: other, role: 'service_role' }),
      },
    }),
    by('JSON called text', { headers: { 'content-type': 'text/plain' }, extra: { canPublish: true } }),
    by('JSON called a form', {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      extra: { canPublish: true },
    }),
  ];
}

function appended(json: string, rest: string): string {
  const inner = json.slice(1, -1);
  return inner === '' || rest === '' ? `{${inner}${rest}}` : `{${inner},${rest}}`;
}
