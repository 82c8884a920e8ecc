/** Exit codes of the command line, the contract of `trollfix help exit-codes`. */
export const ExitCode = {
  ok: 0,
  bug: 1,
  usage: 2,
  unreachable: 3,
  credentials: 4,
  refused: 5,
  invariant: 96,
  rollbackFailed: 97,
  inconclusive: 98,
  checkFailed: 99,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** One sentence per code, in the order they are documented. */
export const exitCodeMeanings: ReadonlyArray<readonly [ExitCode, string]> = [
  [ExitCode.ok, 'done, and everything asked for holds'],
  [ExitCode.bug, "a bug in trollfix (with the log's path)"],
  [ExitCode.usage, 'usage, configuration or scenario error; nothing was started'],
  [ExitCode.unreachable, 'a precondition is missing or the target cannot be reached'],
  [ExitCode.credentials, 'credentials refused'],
  [ExitCode.refused, 'refused by the safety guard, or the prompt was declined'],
  [ExitCode.invariant, 'an invariant was violated: money, messages, seats, rollback not proved'],
  [ExitCode.rollbackFailed, 'a fault could not be rolled back (`trollfix chaos recover`)'],
  [ExitCode.inconclusive, 'inconclusive: generator saturated, no data, nothing comparable'],
  [ExitCode.checkFailed, "threshold, gate or check failed (k6's number)"],
  [
    ExitCode.interrupted,
    'interrupted (Ctrl-C); what had been started was taken down and the report still written',
  ],
  [
    ExitCode.terminated,
    'terminated (SIGTERM); what had been started was taken down and the report still written',
  ],
];
