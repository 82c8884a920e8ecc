import { formatDuration, parseDurationMs } from '../../kernel/duration.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import { parseListenAddress } from '../../kernel/listen-address.ts';
import type { CommandSpec } from '../command.ts';
import { parseCount } from '../load-options.ts';

/** A listing costs LiveKit 4–60 ms per room: more often than this it would do nothing else. */
const leastEveryMs = 100;
/** Timers take no more than 24 days; whoever comes back past a gate should not stay for longer than this. */
const mostEveryMs = 3_600_000;

/** @throws TF-CLI-004 */
function parseEvery(text: string): number {
  const ms = parseDurationMs(text);
  if (ms < leastEveryMs || ms > mostEveryMs) {
    const range = `from ${formatDuration(leastEveryMs)} to ${formatDuration(mostEveryMs)}`;
    throw new TrollfixError('TF-CLI-004', `"${text}" is not a duration ${range}`, { hint: 'example: 2s' });
  }
  return ms;
}

export const guardSpec: CommandSpec = {
  path: ['guard'],
  summary: 'carry seats and bans out on LiveKit, for as long as it runs',
  description:
    'Hears of every change, removes or silences whom the rows say, ends seats whose time is over, compares rooms with ' +
    'rows every 2 s, and with --gate lets nobody past it whom the rows keep out. Clients must then reach LiveKit by the ' +
    "gate alone. Several may run side by side. On SIGTERM it finishes what it is at. See docs/guard.md for a server's set-up.",
  examples: [
    {
      line: 'trollfix guard --gate 0.0.0.0:7890',
      does: 'with a gate in front of LiveKit, for clients to dial',
    },
    {
      line: 'trollfix guard --webhook 127.0.0.1:9465 --tripwire',
      does: 'without one: noticed as soon as possible, and removed',
    },
    { line: 'trollfix guard --once', does: 'look everywhere once, act, and end' },
  ],
  options: [
    {
      flags: '--gate <host:port>',
      description: 'let clients in here, by their seats (port 0: any)',
      parse: parseListenAddress,
    },
    {
      flags: '--metrics <host:port>',
      description: '/metrics, /healthz and /livez (default: 127.0.0.1:9464)',
      parse: parseListenAddress,
    },
    {
      flags: '--webhook <host:port>',
      description: "take LiveKit's webhooks at /webhook; may be the address of --metrics",
      parse: parseListenAddress,
    },
    {
      flags: '--source <source>',
      description:
        'hear of changes by a PostgreSQL connection, or by Realtime and REST alone (default: listen)',
      choices: ['listen', 'realtime'],
    },
    { flags: '--tripwire', description: 'lie in wait for banned users in their rooms' },
    {
      flags: '--tripwires <n>',
      description: 'how many at most; implies --tripwire (default: 100)',
      parse: parseCount(1, 1_000),
    },
    { flags: '--fail-open', description: 'let unknown users in while the rows cannot be read' },
    {
      flags: '--every <dur>',
      description: 'how often rooms are compared with the rows, 100ms to 1h (default: 2s)',
      parse: parseEvery,
    },
    { flags: '--once', description: 'one pass over outbox and rooms, then end; listens on nothing' },
  ],
  kind: 'guard',
  dataSchema: async () => (await import('../outputs/guard.ts')).dataSchema,
  load: async () => (await import('./guard.ts')).runGuard,
};
