import { parseDurationMs } from '../../kernel/duration.ts';
import type { CommandSpec } from '../command.ts';

export const tokenAttackSpec: CommandSpec = {
  path: ['token', 'attack'],
  summary: 'put a table of hostile requests to a token endpoint and judge every token it gives',
  description:
    'Without a session it casts synthetic users on the target (a viewer, seats given, lost and run out, a ban) and ' +
    "asks the target's endpoint, or the one named. With a session (`--session`, or TROLLFIX_SESSION) it attacks any " +
    'endpoint as that user: what an honest request gets is then the measure, and cases that need more than there is ' +
    'are inconclusive and say what they need. Forged, unsigned, expired and confused JWTs, keys as users, every grant ' +
    'flag, other identities and aliases, other rooms, long lives, prototype pollution, broken bodies, methods, ' +
    'headers. Prints claims, never tokens. Exits 99 when a case was breached, 98 when nothing could be judged.',
  examples: [
    { line: 'trollfix token attack', does: "the target's own endpoint, with every part cast" },
    {
      line: 'trollfix token attack http://localhost:3000/api/token --stream lobby --session jwt.txt --body-template \'{"roomName":"{room}"}\'',
      does: 'an endpoint of somebody else, as one user',
    },
    {
      line: "trollfix token attack 'http://localhost:3000/api/token?room={room}&username={identity}' --method GET --stream lobby",
      does: 'an endpoint that asks for no session at all',
    },
  ],
  arguments: [
    {
      name: 'url',
      description: "the endpoint; `{room}` and `{identity}` in it are filled in (default: the target's)",
      required: false,
    },
  ],
  options: [
    { flags: '--url <url>', description: 'the same as an option' },
    {
      flags: '--method <verb>',
      description: 'how it is asked (default: POST; GET sends no body)',
      choices: ['POST', 'GET', 'PUT'],
    },
    {
      flags: '--body-template <json>',
      description: 'the JSON body, with {room} and {identity} filled in (default: {"streamId":"{room}"})',
    },
    {
      flags: '--token-field <path>',
      description: 'where the token stands in the answer: data.token (default: the usual places)',
    },
    {
      flags: '--auth-header <line>',
      description: "how the session is sent (default: 'Authorization: Bearer {jwt}')",
    },
    {
      flags: '--header <line>',
      description: "sent with every request: 'x-tenant: a'; repeatable",
      repeatable: true,
    },
    { flags: '--stream <room>', description: 'the room to ask for, by the name the endpoint knows' },
    { flags: '--other-stream <room>', description: 'another room that exists' },
    { flags: '--ended-stream <room>', description: 'a room that nobody may enter any more' },
    {
      flags: '--session <file>',
      description:
        'a user\'s JWT, or JSON of several: {"viewer": …, "speaker": …, "banned": …}; - is stdin (default: TROLLFIX_SESSION)',
    },
    {
      flags: '--expect <what>',
      description: 'what the user of a single session may do (default: watch)',
      choices: ['watch', 'publish'],
    },
    {
      flags: '--max-ttl <dur>',
      description: 'the longest a token may live (default: 60s)',
      parse: parseDurationMs,
    },
    { flags: '--jwks <url>', description: 'the public keys that sessions are verified with' },
  ],
  kind: 'token-attack',
  dataSchema: async () => (await import('../outputs/token-attack.ts')).dataSchema,
  load: async () => (await import('./token-attack.ts')).runTokenAttack,
};
