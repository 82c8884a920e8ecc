/** The import table of ARCHITECTURE.md as data; `test/architecture.test.ts` compares the two and checks every import. */
export interface RoomRule {
  /** Rooms whatever may be imported from. `kernel` goes without saying, except where `kernel` is false. */
  readonly rooms: readonly string[];
  /** Rooms of which only types may be imported. */
  readonly typesOf?: readonly string[];
  /** Named parts of rooms, by what ARCHITECTURE.md calls them. */
  readonly parts?: readonly (keyof typeof parts)[];
  readonly kernel?: false;
}

/** Parts of a room that others may import though they may not import the room. */
export const parts = {
  'the pure policies of `app`': /^app\/(token-policy|token-request)\.ts$/,
  'the headless parts of `app`': /^app\/chat-throttle\.ts$/,
  'the fault interface of `local`': /^local\/(fault|faults|fault-[a-z-]+)\.ts$/,
} as const satisfies Record<string, RegExp>;

const everyRoomButApp = [
  'chaos',
  'config',
  'engine',
  'local',
  'ops',
  'probes',
  'provision',
  'record',
  'report',
  'run',
  'target',
];

export const rules: Readonly<Record<string, RoomRule>> = {
  main: { rooms: ['cli', 'config'] },
  cli: { rooms: everyRoomButApp },
  config: { rooms: [] },
  kernel: { rooms: [] },
  record: { rooms: [] },
  target: { rooms: [], typesOf: ['config'] },
  local: { rooms: [], typesOf: ['config'], parts: ['the pure policies of `app`'] },
  provision: { rooms: ['target'], typesOf: ['config'] },
  engine: { rooms: ['record'] },
  probes: {
    rooms: ['engine', 'target', 'record'],
    typesOf: ['config'],
    parts: ['the headless parts of `app`'],
  },
  chaos: {
    rooms: ['engine', 'target', 'probes', 'ops', 'record'],
    typesOf: ['config'],
    parts: ['the fault interface of `local`', 'the headless parts of `app`'],
  },
  ops: { rooms: ['target'], typesOf: ['config'], parts: ['the pure policies of `app`'] },
  run: { rooms: ['probes', 'chaos', 'provision', 'ops', 'target', 'engine', 'record'], typesOf: ['config'] },
  report: { rooms: ['record'] },
  app: { rooms: [], kernel: false },
};

/** Rooms whose folders may not import each other: one target, one probe knows nothing of the next. */
export const roomsOfStrangers = ['target', 'probes'];

/** How ARCHITECTURE.md words a rule, as a set of phrases. */
export function wordsOfRule(room: string, rule: RoomRule): Set<string> {
  if (room === 'cli') return new Set(['every room except `app`']);
  if (room === 'kernel') return new Set(['nothing']);
  if (rule.kernel === false) return new Set(['nothing at all: it ships to browsers']);
  const phrases = [
    ...rule.rooms.map((name) => `\`${name}\``),
    ...(rule.typesOf ?? []).map((name) => `types of \`${name}\``),
    ...(rule.parts ?? []),
  ];
  return new Set(phrases.length > 0 ? phrases : ['nothing more']);
}
