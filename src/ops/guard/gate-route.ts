/** What a request at the gate is for, or how it is refused before anybody looks at its token. */
export type Route =
  | {
      /**
       * A signal session, which only an upgrade to a WebSocket begins; a request that is judged and passed on; one
       * that needs no token: a preflight, or what LiveKit answers to everybody.
       */
      readonly kind: 'session' | 'judged' | 'open';
      /** Ending one's own session takes less than anything else. */
      readonly purpose: 'enter' | 'leave';
      readonly path: string;
      readonly query: string;
      /** The path without what differs from session to session. */
      readonly door: string;
    }
  | { readonly kind: 'none'; readonly status: 400 | 404 | 405; readonly message: string };

type Kind = 'session' | 'judged' | 'open';

/** Every path that leads anywhere, with its methods. There is no /twirp: admin calls are not for clients. */
const doors: ReadonlyArray<{
  readonly door: string;
  readonly path: RegExp;
  readonly methods: Record<string, Kind>;
}> = [
  { door: '/rtc', path: /^\/rtc$/, methods: { GET: 'session', OPTIONS: 'open' } },
  { door: '/rtc/v1', path: /^\/rtc\/v1$/, methods: { GET: 'session', OPTIONS: 'open' } },
  { door: '/rtc/validate', path: /^\/rtc\/validate$/, methods: { GET: 'judged', OPTIONS: 'open' } },
  { door: '/rtc/v1/validate', path: /^\/rtc\/v1\/validate$/, methods: { GET: 'judged', OPTIONS: 'open' } },
  { door: '/whip/v1', path: /^\/whip\/v1$/, methods: { POST: 'judged', GET: 'open', OPTIONS: 'open' } },
  {
    door: '/whip/v1/{id}',
    path: /^\/whip\/v1\/[A-Za-z0-9_-]{1,64}$/,
    methods: { PATCH: 'judged', DELETE: 'judged', GET: 'open', OPTIONS: 'open' },
  },
];

/**
 * Where a request may go. Paths are compared letter by letter: LiveKit also takes `//rtc` and unescapes, but what is
 * not written exactly as its clients write it finds no way through.
 * @param target of the request line, as it came
 */
export function routeOf(method: string, target: string): Route {
  // absolute targets, fragments and whatever is not printable ASCII are read differently by different servers
  if (!/^\/[!-~]*$/.test(target) || target.includes('#')) {
    return { kind: 'none', status: 400, message: 'bad request' };
  }
  const mark = target.indexOf('?');
  const path = mark === -1 ? target : target.slice(0, mark);
  const query = mark === -1 ? '' : target.slice(mark + 1);
  const found = doors.find((each) => each.path.test(path));
  if (found === undefined) return { kind: 'none', status: 404, message: 'not found' };
  const kind = Object.hasOwn(found.methods, method) ? found.methods[method] : undefined;
  if (kind === undefined) return { kind: 'none', status: 405, message: 'method not allowed' };
  return { kind, purpose: method === 'DELETE' ? 'leave' : 'enter', path, query, door: found.door };
}
