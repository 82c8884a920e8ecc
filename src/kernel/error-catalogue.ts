import { ExitCode } from './exit-codes.ts';

/** What a code means wherever it is raised. `docs/errors.md` is generated from this table. */
export interface CatalogueEntry {
  readonly exit: ExitCode;
  /** What goes wrong, in general words. */
  readonly title: string;
  /** Why it is an error and what usually helps. */
  readonly help: string;
}

/**
 * Every expected failure of trollfix. Codes are `TF-<AREA>-<NNN>` and never change their meaning;
 * a new failure gets a new number at the end of its area.
 */
export const errorCatalogue = {
  // CLI: how the program was called
  'TF-CLI-001': {
    exit: ExitCode.usage,
    title: 'unknown command',
    help: 'See `trollfix --help` for the commands.',
  },
  'TF-CLI-002': { exit: ExitCode.usage, title: 'unknown option', help: 'See `trollfix <command> --help`.' },
  'TF-CLI-003': {
    exit: ExitCode.usage,
    title: 'bad or missing argument',
    help: 'See `trollfix <command> --help`.',
  },
  'TF-CLI-004': {
    exit: ExitCode.usage,
    title: 'a value cannot be read',
    help: 'Times and rates take units: `250ms`, `10s`, `100/s`.',
  },
  'TF-CLI-005': {
    exit: ExitCode.refused,
    title: 'the prompt was declined, or could not be asked',
    help: 'Answer it, or pass `--yes`.',
  },
  'TF-CLI-006': {
    exit: ExitCode.interrupted,
    title: 'interrupted',
    help: 'What had been started was taken down.',
  },
  'TF-CLI-007': { exit: ExitCode.unreachable, title: 'timed out', help: 'Give a larger `--timeout`.' },
  'TF-CLI-008': {
    exit: ExitCode.terminated,
    title: 'terminated',
    help: 'What had been started was taken down.',
  },
  'TF-CLI-009': {
    exit: ExitCode.bug,
    title: 'a bug in trollfix',
    help: 'Run it again with `--verbose` for the stack trace, and report it with the log.',
  },
  // CFG: configuration
  'TF-CFG-001': {
    exit: ExitCode.usage,
    title: 'the configuration cannot be read',
    help: 'Fix the file at the line named.',
  },
  'TF-CFG-002': {
    exit: ExitCode.usage,
    title: 'unknown key in the configuration',
    help: 'Use the nearest valid key that is named.',
  },
  'TF-CFG-003': {
    exit: ExitCode.usage,
    title: 'a setting has a wrong value',
    help: 'Fix the setting at the place named.',
  },
  'TF-CFG-004': {
    exit: ExitCode.usage,
    title: 'unknown target',
    help: 'Name one of the targets in trollfix.yaml, or `embedded`.',
  },
  'TF-CFG-005': {
    exit: ExitCode.unreachable,
    title: 'the target lacks a setting that this command needs',
    help: 'Add it with `trollfix init` or the environment variable named.',
  },
  // STK: the embedded stack
  'TF-STK-001': {
    exit: ExitCode.unreachable,
    title: 'the embedded stack is not up',
    help: 'Start it: `trollfix up --detach`.',
  },
  'TF-STK-002': {
    exit: ExitCode.unreachable,
    title: 'a service of the embedded stack did not start',
    help: 'Read its log: `trollfix logs <service>`.',
  },
  'TF-STK-003': {
    exit: ExitCode.unreachable,
    title: 'a service of the embedded stack died',
    help: 'Read its log: `trollfix logs <service>`.',
  },
  'TF-STK-004': {
    exit: ExitCode.unreachable,
    title: 'no livekit-server binary',
    help: 'Set TROLLFIX_LIVEKIT_BIN, put livekit-server on PATH, or install Go and run `trollfix up` again.',
  },
  'TF-STK-005': {
    exit: ExitCode.usage,
    title: 'unknown service',
    help: 'Name one of: postgres, gateway, livekit, hls, settler, guard.',
  },
  'TF-STK-006': {
    exit: ExitCode.unreachable,
    title: 'another process holds the embedded stack of this folder',
    help: 'See what it is: `trollfix status`. Stop it: `trollfix down`.',
  },
  'TF-STK-007': {
    exit: ExitCode.unreachable,
    title: 'a file of the embedded stack cannot be read',
    help: 'It was written by another version, or spoiled: remove it after stopping what it names.',
  },
  // DB: PostgreSQL
  'TF-DB-001': {
    exit: ExitCode.unreachable,
    title: 'PostgreSQL cannot be reached',
    help: 'Check DATABASE_URL and that the server runs.',
  },
  'TF-DB-002': {
    exit: ExitCode.credentials,
    title: 'PostgreSQL refused the credentials',
    help: 'Check the user and password in DATABASE_URL.',
  },
  'TF-DB-003': {
    exit: ExitCode.unreachable,
    title: 'the database has no trollfix schema, or an old one',
    help: 'Run `trollfix provision`.',
  },
  'TF-DB-004': {
    exit: ExitCode.refused,
    title: 'another run holds the target',
    help: 'Wait for it to end, or end it.',
  },
  // SUP: Supabase over HTTP and WebSocket
  'TF-SUP-001': {
    exit: ExitCode.unreachable,
    title: 'the Supabase URL cannot be reached',
    help: 'Check SUPABASE_URL.',
  },
  'TF-SUP-002': {
    exit: ExitCode.credentials,
    title: 'Supabase refused the key',
    help: 'Check the anon and service-role keys.',
  },
  'TF-SUP-003': {
    exit: ExitCode.unreachable,
    title: 'Realtime did not answer',
    help: 'Check that Realtime is enabled for the project.',
  },
  // LK: LiveKit
  'TF-LK-001': {
    exit: ExitCode.unreachable,
    title: 'LiveKit cannot be reached',
    help: 'Check LIVEKIT_URL and that the server runs.',
  },
  'TF-LK-002': {
    exit: ExitCode.credentials,
    title: 'LiveKit refused the key or secret',
    help: 'Check LIVEKIT_API_KEY, LIVEKIT_API_SECRET and the clock.',
  },
  'TF-LK-003': {
    exit: ExitCode.unreachable,
    title: 'LiveKit does not accept the request',
    help: 'Read its answer; check that LIVEKIT_URL is a LiveKit server.',
  },
  // HLS
  'TF-HLS-001': {
    exit: ExitCode.unreachable,
    title: 'the HLS playlist cannot be fetched',
    help: 'Check HLS_URL.',
  },
  // GIFT: ledger and settlement
  'TF-GIFT-001': {
    exit: ExitCode.refused,
    title: 'another drainer holds the lock',
    help: 'It is being drained already: watch `trollfix gift backlog`.',
  },
  'TF-GIFT-002': {
    exit: ExitCode.invariant,
    title: 'the gift ledger is not consistent',
    help: 'Stop settlement and look at the rows named.',
  },
  'TF-GIFT-003': {
    exit: ExitCode.unreachable,
    title: 'a settlement round failed',
    help: 'It was rolled back whole; fix the cause named and drain again: `trollfix gift drain`.',
  },
  'TF-GIFT-004': {
    exit: ExitCode.usage,
    title: 'no such run in the gift ledger',
    help: 'Without `--run` the whole ledger is audited: `trollfix gift audit`.',
  },
  'TF-GIFT-005': {
    exit: ExitCode.inconclusive,
    title: 'the audit could not be finished',
    help: 'Give it more time: `trollfix gift audit --within 5m`.',
  },
  'TF-GIFT-006': {
    exit: ExitCode.usage,
    title: 'no such gift',
    help: 'Give the gift id that the sender made, or its seq in the ledger.',
  },
  'TF-GIFT-007': {
    exit: ExitCode.refused,
    title: 'the gift cannot be reversed',
    help: 'See what became of it: `trollfix gift inspect <gift>`.',
  },
  // SEAT: seats and bans
  'TF-SEAT-001': { exit: ExitCode.usage, title: 'no such stream', help: 'List them: `trollfix seat list`.' },
  'TF-SEAT-002': {
    exit: ExitCode.usage,
    title: 'no such user',
    help: 'Give the user id, or the username of a profile.',
  },
  'TF-SEAT-003': {
    exit: ExitCode.usage,
    title: 'no such seat',
    help: 'List them: `trollfix seat list --stream S`.',
  },
  'TF-SEAT-004': {
    exit: ExitCode.refused,
    title:
      'the seat cannot be given or changed: the user is banned, the seat is over, or the stream has ended',
    help: 'Lift a ban first: `trollfix seat restore`.',
  },
  'TF-SEAT-005': {
    exit: ExitCode.invariant,
    title: 'a user who was revoked keeps coming back into the room',
    help: 'Their tokens still open LiveKit, which cannot revoke them: only a gate in front of it keeps them out.',
  },
  'TF-SEAT-006': {
    exit: ExitCode.usage,
    title: 'a time that a seat or ban cannot have',
    help: 'See what there is: `trollfix seat list --stream S`.',
  },
  'TF-SEAT-007': {
    exit: ExitCode.usage,
    title: 'several users are called that',
    help: 'Give the id of the one that is meant.',
  },
  'TF-SEAT-008': {
    exit: ExitCode.usage,
    title: 'the list of users has lines that name nobody',
    help: 'Nothing was done. Correct the lines named and give the list again.',
  },
  'TF-SEAT-009': {
    exit: ExitCode.checkFailed,
    title: 'a way back into the room is open',
    help: 'Put a gate in front of LiveKit (`trollfix guard --gate`) and let nobody reach its own port.',
  },
  'TF-SEAT-010': {
    exit: ExitCode.invariant,
    title: 'a banned user stays in the room',
    help: 'Start what carries bans out: `trollfix guard`.',
  },
  'TF-SEAT-011': {
    exit: ExitCode.inconclusive,
    title: 'whether every way back is shut cannot be told',
    help: 'Read what the doors said; a door that does not answer is not a closed one.',
  },
  // GRD: the guard
  'TF-GRD-001': {
    exit: ExitCode.unreachable,
    title: 'an address of the guard is taken',
    help: 'Another guard may run there already. Give this one free ports, or port 0 for any.',
  },
  'TF-GRD-002': {
    exit: ExitCode.invariant,
    title: 'somebody is still where the rows say they may not be',
    help: 'Look at what keeps them there: `trollfix seat verify`, and the log of LiveKit.',
  },
  // TOK: tokens
  'TF-TOK-001': {
    exit: ExitCode.usage,
    title: 'not a LiveKit token',
    help: 'Give the JWT as the argument or on stdin.',
  },
  'TF-TOK-002': {
    exit: ExitCode.refused,
    title: 'the policy gives no token',
    help: 'Grant a seat first: `trollfix seat grant`.',
  },
  'TF-TOK-003': {
    exit: ExitCode.checkFailed,
    title: 'the token is dangerous',
    help: 'Read the findings; fix whatever gives such tokens out.',
  },
  'TF-TOK-004': {
    exit: ExitCode.checkFailed,
    title: 'the token endpoint was breached',
    help: 'Each case says what was asked and what the token grants; `docs/tokens.md` tells what an endpoint must hold.',
  },
  'TF-TOK-005': {
    exit: ExitCode.inconclusive,
    title: 'nothing could be said about the token endpoint',
    help: 'Check that an honest request gets a token: the address, the form of the request, a fresh session.',
  },
  // PROV: provisioning
  'TF-PROV-001': {
    exit: ExitCode.checkFailed,
    title: 'the database has drifted from the migrations',
    help: 'Run `trollfix provision`, or look at the objects named.',
  },
  'TF-PROV-002': {
    exit: ExitCode.unreachable,
    title: 'a migration failed',
    help: 'The migration was rolled back whole; fix the cause and run it again.',
  },
  'TF-PROV-003': {
    exit: ExitCode.checkFailed,
    title: 'a doctor check failed',
    help: 'Run the command named beside the check.',
  },
  'TF-PROV-004': {
    exit: ExitCode.refused,
    title: 'an exported migration is there with another text',
    help: 'Move the file named away and export again.',
  },
  // LOAD: load runs
  'TF-LOAD-001': {
    exit: ExitCode.checkFailed,
    title: 'a threshold failed',
    help: 'Read the threshold table: observed value and samples stand beside it.',
  },
  'TF-LOAD-002': {
    exit: ExitCode.inconclusive,
    title: 'the load generator was the bottleneck',
    help: 'Lower the rate, or use a larger machine.',
  },
  'TF-LOAD-003': {
    exit: ExitCode.usage,
    title: 'a threshold cannot be read',
    help: "k6's grammar: `metric: p(99)<250`.",
  },
  'TF-LOAD-004': {
    exit: ExitCode.invariant,
    title: 'the run violated an invariant',
    help: 'Read the counts of the measurement named.',
  },
  'TF-LOAD-005': {
    exit: ExitCode.inconclusive,
    title: 'the run measured nothing',
    help: 'Read why each part did not run.',
  },
  // CHAOS
  'TF-CHAOS-001': {
    exit: ExitCode.usage,
    title: 'unknown experiment',
    help: 'List them: `trollfix chaos list`.',
  },
  'TF-CHAOS-002': {
    exit: ExitCode.invariant,
    title: 'a crash-matrix row failed',
    help: 'Read the row and its evidence.',
  },
  // REP: reports
  'TF-REP-001': { exit: ExitCode.usage, title: 'no such run', help: 'List them: `ls reports`.' },
  'TF-REP-002': {
    exit: ExitCode.usage,
    title: 'not a run record',
    help: 'Give a folder with a run.json written by trollfix.',
  },
  'TF-REP-003': {
    exit: ExitCode.usage,
    title: 'unknown schema',
    help: 'See `trollfix schema --help` for the names.',
  },
  // SAFE: the safety guard
  'TF-SAFE-001': {
    exit: ExitCode.refused,
    title: 'not a loopback target and no limits are configured for it',
    help: 'Add `limits` for the target to trollfix.yaml and pass `--confirm <target>`.',
  },
  'TF-SAFE-002': {
    exit: ExitCode.refused,
    title: 'above the limits of the target',
    help: 'Lower the load, or raise the limits of the target.',
  },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof errorCatalogue;
