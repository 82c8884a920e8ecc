import { messageOf, TrollfixError } from '../../kernel/errors.ts';
import { isObject } from '../../kernel/json-object.ts';
import { nearest } from '../../kernel/nearest.ts';
import { type Asker, askerOf, type Part, parts } from '../../probes/token/scene.ts';
import { ownTokenForm, type TokenForm } from '../../target/livekit/token-form.ts';
import type { CommandContext, CommandInput } from '../command.ts';
import { textOption } from '../input-values.ts';
import { readText } from '../read-text.ts';

/** The address that was given, as argument or option. @throws TF-CLI-003 when they differ, TF-CLI-004 for no URL */
export function givenUrl(input: CommandInput): string | undefined {
  const { url: argument } = input.arguments;
  const option = textOption(input, 'url');
  if (typeof argument === 'string' && option !== undefined && argument !== option) {
    throw new TrollfixError('TF-CLI-003', 'two different addresses were given', {
      why: `"${argument}" and --url "${option}"`,
      hint: 'give one of them',
    });
  }
  const url = typeof argument === 'string' ? argument : option;
  if (url === undefined) return undefined;
  const protocol = URL.parse(url)?.protocol;
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new TrollfixError('TF-CLI-004', `"${url}" is no http or https address`, {
      hint: 'example: trollfix token attack http://localhost:3000/api/token',
    });
  }
  return url;
}

/** How the endpoint wants to be asked. @throws TF-CLI-004 for a template or header that cannot be read */
export function formOf(url: string, input: CommandInput): TokenForm {
  const form = ownTokenForm(url);
  const method = textOption(input, 'method') ?? form.method;
  const template = textOption(input, 'bodyTemplate');
  if (method === 'GET' && template !== undefined) {
    throw new TrollfixError('TF-CLI-003', 'a GET sends no body', {
      hint: "put {room} into the URL: 'http://…/token?room={room}'",
    });
  }
  const auth = textOption(input, 'authHeader');
  const { header } = input.options;
  const headers = Array.isArray(header) ? header.map((line) => readHeader('--header', String(line))) : [];
  return {
    url,
    method,
    body: method === 'GET' ? null : template === undefined ? form.body : readTemplate(template),
    auth: auth === undefined ? form.auth : readAuth(auth),
    headers: Object.fromEntries(headers.map(({ name, value }) => [name, value])),
    tokenField: textOption(input, 'tokenField') ?? null,
  };
}

function readTemplate(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw badTemplate(messageOf(error));
  }
  if (!isObject(value)) throw badTemplate('it is no JSON object');
  return value;
}

function badTemplate(why: string): TrollfixError {
  return new TrollfixError('TF-CLI-004', '--body-template cannot be read', {
    why,
    hint: `example: --body-template '{"roomName":"{room}","participantName":"{identity}"}'`,
  });
}

function readAuth(line: string): { name: string; value: string } {
  const header = readHeader('--auth-header', line);
  if (header.value.includes('{jwt}')) return header;
  throw new TrollfixError('TF-CLI-004', '--auth-header has no {jwt} in it', {
    why: 'the session is put there; a session itself does not belong on a command line',
    hint: "example: --auth-header 'Cookie: session={jwt}'",
  });
}

function readHeader(flag: string, line: string): { name: string; value: string } {
  const [, name = '', value = ''] = /^([\w-]+):\s*(.*)$/.exec(line) ?? [];
  if (name !== '') return { name, value };
  throw new TrollfixError('TF-CLI-004', `${flag} "${line}" is no header`, {
    hint: `example: ${flag} 'x-tenant: a'`,
  });
}

/**
 * Whose sessions ask: from `--session`, else TROLLFIX_SESSION. A file or stdin may hold one JWT or JSON of several.
 * @returns undefined when none was given
 * @throws TF-CLI-003 for JSON that names parts nobody plays, TF-CFG-001 for a file that cannot be read
 */
export async function givenSessions(
  context: Pick<CommandContext, 'cwd' | 'env' | 'readStdin'>,
  input: CommandInput,
): Promise<Partial<Record<Part, Asker>> | undefined> {
  const file = textOption(input, 'session');
  const text =
    file === undefined
      ? context.env.TROLLFIX_SESSION
      : file === '-'
        ? await context.readStdin()
        : await readText(context.cwd, file, '--session');
  if (text === undefined) return undefined;
  const trimmed = text.trim();
  if (trimmed === '') throw new TrollfixError('TF-CLI-003', 'the session is empty');
  if (!trimmed.startsWith('{')) {
    return { [textOption(input, 'expect') === 'publish' ? 'speaker' : 'viewer']: askerOf(trimmed) };
  }
  let value: unknown;
  try {
    value = JSON.parse(trimmed);
  } catch {
    // the parser's own message would quote what stands there
    throw new TrollfixError('TF-CLI-003', 'the sessions are no valid JSON');
  }
  const people: Partial<Record<Part, Asker>> = {};
  for (const [name, jwt] of Object.entries(isObject(value) ? value : {})) {
    const part = parts.find((one) => one === name);
    if (part === undefined || typeof jwt !== 'string') {
      const near = nearest(name, parts);
      throw new TrollfixError('TF-CLI-003', `the sessions name "${name}", which is none of the parts`, {
        hint: near === undefined ? `the parts are: ${parts.join(', ')}` : `did you mean \`${near}\`?`,
      });
    }
    people[part] = askerOf(jwt.trim());
  }
  return people;
}
