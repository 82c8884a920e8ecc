import { isMap, isPair, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import { z } from 'zod';
import { TrollfixError } from '../kernel/errors.ts';
import { nearest } from '../kernel/nearest.ts';
import { type Config, configSchema } from './config-schema.ts';

type Path = ReadonlyArray<string | number>;

/** A configuration file that was read and checked, and where each of its values stands. */
export interface ConfigFile {
  /** As it is named in messages: relative to the folder it was looked for from. */
  readonly name: string;
  readonly config: Config;
  /** The line of a key, counted from 1; of the nearest key above it when it is not there. */
  lineOf(path: Path): number;
}

/**
 * Reads the text of a trollfix.yaml.
 * @throws TF-CFG-001 when it is no YAML, TF-CFG-002 for an unknown key, TF-CFG-003 for a wrong value; each names the line
 */
export function parseConfigFile(text: string, name: string): ConfigFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [syntaxError] = document.errors;
  if (syntaxError) {
    const { line, col } = lines.linePos(syntaxError.pos[0]);
    throw new TrollfixError('TF-CFG-001', `${name}:${line}:${col}: ${syntaxError.message}`, {
      hint: `fix line ${line} of ${name}`,
      details: { file: name, line, column: col },
    });
  }
  const lineOf = (path: Path) => {
    const offset = offsetOf(document.contents, path);
    return offset === undefined ? 1 : lines.linePos(offset).line;
  };
  const result = configSchema.safeParse(document.toJS() ?? {});
  if (result.success) return { name, config: result.data, lineOf };
  throw issueError(result.error.issues, name, lineOf);
}

/** Where the key (or, failing that, the value) of a path starts in the text. */
function offsetOf(root: Node | null, path: Path): number | undefined {
  let node: unknown = root;
  let offset = root?.range?.[0];
  for (const step of path) {
    if (!isMap(node)) return offset;
    const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === step);
    if (!pair) return offset;
    offset = isScalar(pair.key) ? (pair.key.range?.[0] ?? offset) : offset;
    node = pair.value;
  }
  return offset;
}

function issueError(
  issues: readonly z.core.$ZodIssue[],
  file: string,
  lineOf: (path: Path) => number,
): TrollfixError {
  // an unknown key explains the missing one beside it, so it is told first
  const issue = issues.find((one) => one.code === 'unrecognized_keys') ?? issues[0];
  if (!issue) throw new Error('zod refused the configuration without an issue');
  const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
  if (issue.code === 'unrecognized_keys') return unknownKey(issue.keys[0] ?? '', path, file, lineOf);
  const line = lineOf(path);
  const where = path.length > 0 ? path.join('.') : 'the file';
  return new TrollfixError('TF-CFG-003', `${file}:${line}: ${where}: ${wordsOf(issue)}`, {
    hint: `fix line ${line} of ${file}; its form: \`trollfix schema config\``,
    details: { file, line, key: path.join('.') },
  });
}

function wordsOf(issue: z.core.$ZodIssue): string {
  // a union says "invalid input" for itself; our own text stands in `message` where we gave one
  return issue.message.charAt(0).toLowerCase() + issue.message.slice(1);
}

function unknownKey(
  key: string,
  path: ReadonlyArray<string | number>,
  file: string,
  lineOf: (path: Path) => number,
): TrollfixError {
  const line = lineOf([...path, key]);
  const valid = keysAt(configSchema, path);
  const near = nearest(key, valid);
  const where = path.length > 0 ? ` in ${path.join('.')}` : '';
  return new TrollfixError('TF-CFG-002', `${file}:${line}: unknown key "${key}"${where}`, {
    why: `the keys there are: ${valid.join(', ')}`,
    hint: near ? `did you mean \`${near}\`?` : `take it out, or see \`trollfix schema config\``,
    details: { file, line, key: [...path, key].join('.'), didYouMean: near ?? null },
  });
}

/** The keys that a schema takes at a path. */
function keysAt(schema: unknown, path: ReadonlyArray<string | number>): string[] {
  const [step, ...rest] = path;
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return keysAt(schema.unwrap(), path);
  if (schema instanceof z.ZodUnion)
    return [...new Set(schema.options.flatMap((option) => keysAt(option, path)))];
  if (schema instanceof z.ZodRecord) return step === undefined ? [] : keysAt(schema.valueType, rest);
  if (!(schema instanceof z.ZodObject)) return [];
  if (step === undefined) return Object.keys(schema.shape);
  return keysAt(schema.shape[step], rest);
}
