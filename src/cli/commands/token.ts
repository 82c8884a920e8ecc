import { TrollfixError } from '../../kernel/errors.ts';
import { findStream, findUser } from '../../ops/seat-lookup.ts';
import { mintSeatToken } from '../../ops/tokens.ts';
import { inspectToken, type TokenInspection } from '../../target/livekit/token-inspection.ts';
import type { CommandContext, CommandInput, CommandResult } from '../command.ts';
import { requiredArgument, requiredOption, textOption } from '../input-values.ts';
import { readText } from '../read-text.ts';
import { withSeatDesk } from './seat-desk.ts';

export async function runTokenMint(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const { name, livekit } = await context.target();
  if (livekit === undefined) {
    throw new TrollfixError('TF-CFG-005', `target "${name}" has no LiveKit`, {
      hint: 'set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET',
    });
  }
  return withSeatDesk(context, async (desk) => {
    const stream = await findStream(desk, requiredOption(input, 'stream'));
    const user = await findUser(desk, requiredArgument(input, 'user'));
    const nowMs = context.clock.now();
    const minted = await mintSeatToken(desk.database, livekit, {
      streamId: stream.id,
      userId: user.id,
      nowMs,
    });
    const { token, claims } = minted;
    const expiresAt = new Date(claims.exp * 1000).toISOString();
    const data = {
      token,
      url: livekit.url,
      identity: claims.sub,
      room: claims.video.room,
      expiresAt,
      grants: claims.video,
    };
    const lines = [
      `for     ${user.username}, ${claims.attributes.role}, as ${claims.sub}`,
      `room    ${claims.video.room}`,
      `grants  ${grantWords(claims.video)}`,
      `until   ${expiresAt} (${claims.exp - claims.nbf} s; LiveKit adds 60 s)`,
    ];
    return {
      data,
      printsSecrets: true,
      text: () => (context.globals.quiet ? `${token}\n` : `${token}\n\n${lines.join('\n')}\n`),
    };
  });
}

export async function runTokenInspect(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const token = await givenToken(context, input);
  const livekit = await liveKitIfAny(context);
  const inspection = await inspectToken(token, {
    nowMs: context.clock.now(),
    ...(livekit === undefined ? {} : { apiKey: livekit.apiKey, apiSecret: livekit.apiSecret }),
  });
  const dangers = inspection.findings.filter(({ level }) => level === 'danger');
  return {
    data: inspection,
    text: () => inspectionText(context, inspection),
    ...(dangers.length === 0
      ? {}
      : {
          failure: new TrollfixError(
            'TF-TOK-003',
            `dangerous: ${dangers.map(({ text }) => text).join('; ')}`,
          ),
        }),
  };
}

/** The argument, `--file`, or stdin. @throws TF-CLI-003 for two of them, TF-CFG-001 for a file that cannot be read */
async function givenToken(context: CommandContext, input: CommandInput): Promise<string> {
  const given = input.arguments.token;
  const file = textOption(input, 'file');
  if (typeof given === 'string' && file !== undefined) {
    throw new TrollfixError('TF-CLI-003', 'give the token or --file, not both');
  }
  if (typeof given === 'string' && given !== '-') return given;
  if (file === undefined || file === '-') return context.readStdin();
  return readText(context.cwd, file, '--file');
}

/** A token can be read without any target: only its signature then stays unchecked. */
async function liveKitIfAny(context: CommandContext) {
  try {
    return (await context.target()).livekit;
  } catch (error) {
    if (error instanceof TrollfixError && !context.globals.target) return undefined;
    throw error;
  }
}

const levelWords = { danger: 'DANGER ', warning: 'warning', note: 'note   ' } as const;

function inspectionText({ terminal }: CommandContext, inspection: TokenInspection): string {
  const { style } = terminal;
  const paint = { danger: style.red, warning: style.yellow, note: style.dim } as const;
  const paintVerdict = { dangerous: style.red, questionable: style.yellow, safe: style.green } as const;
  const { verdict, findings, abilities } = inspection;
  return `${[
    `identity   ${inspection.identity ?? 'none'}${inspection.name ? ` (${inspection.name})` : ''}`,
    `room       ${inspection.room ?? 'none'}`,
    `grants     ${permissionWords(inspection)}`,
    `lives      ${lifeWords(inspection)}`,
    `signature  ${inspection.signature.replace('_', ' ')} (${inspection.algorithm}, issued by ${inspection.issuer ?? 'nobody'})`,
    '',
    'whoever holds it can',
    ...abilities.map((text) => `  ${text}`),
    '',
    `verdict    ${paintVerdict[verdict](verdict)}`,
    ...findings.map(({ level, text }) => `  ${paint[level](`${levelWords[level]}  ${text}`)}`),
  ].join('\n')}\n`;
}

/** Every permission that LiveKit derives, and which of them the token does not say. */
function permissionWords({ permissions, grants }: TokenInspection): string {
  const derived = permissions.filter(({ stated, allowed }) => stated || allowed);
  const words = derived.map(({ grant, allowed, stated }) => {
    const word = allowed ? grant : `no ${grant}`;
    return stated ? word : `${word} (not stated: LiveKit's default)`;
  });
  const names = new Set(permissions.map(({ grant }) => grant));
  const others = Object.fromEntries(Object.entries(grants).filter(([grant]) => !names.has(grant)));
  return [grantWords(others), ...words].filter((word) => word !== 'none').join(', ') || 'none';
}

function lifeWords({ expiresAt, lifetimeSeconds, acceptedUntil, expired }: TokenInspection): string {
  if (expiresAt === null) return 'for ever: it has no exp, and LiveKit accepts that';
  const life = lifetimeSeconds === null ? '' : ` (${lifetimeSeconds} s in all)`;
  return `until ${expiresAt}${life}${expired ? ', which is over' : ''}; LiveKit takes it until ${acceptedUntil}`;
}

function grantWords(grants: object): string {
  const words = Object.entries(grants).map(([grant, value]) => {
    if (grant === 'room') return '';
    if (value === true) return grant;
    if (value === false) return `no ${grant}`;
    return `${grant} ${Array.isArray(value) ? value.join('+') : String(value)}`;
  });
  return words.filter((word) => word !== '').join(', ') || 'none';
}
