import { parts, type RoomRule, roomsOfStrangers, rules } from './rooms.ts';
import { codeOnly, type ImportOf, importsOf, roomOf, type SourceFile } from './source-files.ts';

// ARCHITECTURE.md, house style: about 400; a file that passes it usually holds two ideas.
const fileLinesLimit = 400;

/** Everything in `files` that ARCHITECTURE.md forbids, a line each. */
export function violationsOf(files: readonly SourceFile[]): string[] {
  const imports = files.flatMap(importsOf);
  return [
    ...imports.flatMap(importViolations),
    ...cycles(imports),
    ...files.flatMap(nameViolations),
    ...files.flatMap(wordViolations),
    ...files.flatMap(sizeViolations),
  ];
}

function importViolations(one: ImportOf): string[] {
  const { from, to, own, typeOnly } = one;
  const room = roomOf(from);
  if (!own) return packageViolations(one, room);
  const rule = rules[room];
  if (!rule) return [`${from}: the room "${room}" is not in ARCHITECTURE.md`];
  const other = roomOf(to);
  if (to.startsWith('..')) return [`${from} imports ${to}, outside of src/`];
  if (other === room) return [...strangerViolations(one, room), ...demoViolations(one)];
  return isAllowed(rule, to, other, typeOnly) ? [] : [`${from} imports ${typeOnly ? 'types of ' : ''}${to}`];
}

function isAllowed(rule: RoomRule, to: string, other: string, typeOnly: boolean): boolean {
  if (other === 'kernel') return rule.kernel !== false;
  if (rule.rooms.includes(other)) return true;
  if (typeOnly && rule.typesOf?.includes(other)) return true;
  return (rule.parts ?? []).some((part) => parts[part].test(to));
}

/** `target/hls/…` imports `target/livekit/…`: allowed only for files that lie in the room itself. */
function strangerViolations({ from, to }: ImportOf, room: string): string[] {
  if (!roomsOfStrangers.includes(room)) return [];
  const [, mine = ''] = from.split('/');
  const [, theirs = ''] = to.split('/');
  const isShared = theirs.endsWith('.ts') || mine.endsWith('.ts');
  return mine === theirs || isShared
    ? []
    : [`${from} imports ${to}: one of ${room}/ knows nothing of another`];
}

/** What is published must not come to need the demo's packages. */
function demoViolations({ from, to }: ImportOf): string[] {
  const isDemo = (file: string) => file.startsWith('app/demo/');
  return isDemo(to) && !isDemo(from) ? [`${from} imports ${to}: the demo is nobody's library`] : [];
}

function packageViolations({ from, to, typeOnly }: ImportOf, room: string): string[] {
  if (typeOnly) return [];
  const name = to.replace(/^node:/, '');
  if (room === 'app' && !mayUsePackage(from, to)) return [`${from} imports ${to}: app/ ships to browsers`];
  if (room === 'kernel' && !to.startsWith('node:'))
    return [`${from} imports ${to}: kernel/ has no dependencies`];
  const isPure = room === 'report' || room === 'record';
  const doesIo = /^(fs|net|http|https|child_process|dgram|tls|worker_threads|os)(\/|$)/.test(name);
  return isPure && doesIo ? [`${from} imports ${to}: ${room}/ does no I/O`] : [];
}

/** The hooks are React's, and the demo is a page that is bundled with all it uses. */
function mayUsePackage(from: string, to: string): boolean {
  if (to.startsWith('node:')) return false;
  return from.startsWith('app/demo/') || (to === 'react' && /^app\/use-[a-z-]+\.ts$/.test(from));
}

/** Files that import each other in a ring at run time. An import of types leaves nothing behind. */
function cycles(imports: readonly ImportOf[]): string[] {
  const graph = Map.groupBy(
    imports.filter(({ own, typeOnly }) => own && !typeOnly),
    ({ from }) => from,
  );
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (file: string, trail: readonly string[]) => {
    const start = trail.indexOf(file);
    if (start !== -1) found.push(`cycle: ${[...trail.slice(start), file].join(' → ')}`);
    if (start !== -1 || done.has(file)) return;
    for (const { to } of graph.get(file) ?? []) visit(to, [...trail, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return found;
}

function nameViolations({ path: file }: SourceFile): string[] {
  const name = file.split('/').at(-1) ?? '';
  const stem = name.replace(/(\.[a-z]+)*$/, '');
  if (/^index\.tsx?$/.test(name)) return [`${file}: no barrels`];
  if (/(^|-)(utils?|helpers?|common|misc)(-|$)/.test(stem)) return [`${file}: named after nothing it holds`];
  const words = file.replace(/\.tsx?$/, '').split(/[/.]/);
  return words.every((word) => /^[a-z0-9]+(-[a-z0-9]+)*$/.test(word)) ? [] : [`${file}: not kebab-case`];
}

/** What only one place may touch, and which. */
const guardedWords: ReadonlyArray<{ word: RegExp; name: string; allowed: (file: string) => boolean }> = [
  { word: /\bconsole\./, name: 'console', allowed: () => false },
  { word: /\bprocess\.exit\(/, name: 'process.exit', allowed: isMain },
  { word: /\bprocess\.env\b/, name: 'process.env', allowed: isMain },
  { word: /\bprocess\.argv\b/, name: 'process.argv', allowed: isMain },
  {
    word: /\bprocess\.(stdin|stdout|stderr)\b/,
    name: 'the standard streams',
    // those of a service are its log file, not the terminal
    allowed: (file) => isMain(file) || /^local\/[a-z]+\/main\.ts$/.test(file),
  },
  {
    word: /\bprocess\s*\[|\{[^}]*\b(env|exit|stdout|stderr)\b[^}]*\}\s*=\s*process\b/,
    name: 'process',
    allowed: isMain,
  },
];

function isMain(file: string): boolean {
  return file === 'main.ts';
}

function wordViolations({ path: file, text }: SourceFile): string[] {
  const code = codeOnly(text);
  return guardedWords
    .filter(({ word, allowed }) => word.test(code) && !allowed(file))
    .map(({ name }) => `${file}: ${name}`);
}

function sizeViolations({ path: file, text }: SourceFile): string[] {
  const lines = text.trimEnd().split('\n').length;
  return lines > fileLinesLimit ? [`${file}: ${lines} lines, more than ${fileLinesLimit}`] : [];
}
