import type { CommandSpec } from '../command.ts';
import { streamOption, userArgument } from './seat.spec.ts';
import { tokenAttackSpec } from './token-attack.spec.ts';

export const tokenMintSpec: CommandSpec = {
  path: ['token', 'mint'],
  summary: 'the LiveKit token that a user would get for a stream now',
  description:
    "Decided by the token endpoint's own policy over the same rows: a banned user gets none, a viewer may only watch, " +
    'a seat may do what its row says. Prints the token on the first line and what it grants below; with `--quiet` the ' +
    'token alone. It opens a room for a minute: treat it as a password.',
  examples: [
    { line: 'trollfix token mint ada --stream 5f0c…', does: 'the token, and what it grants' },
    { line: 'trollfix token mint ada --stream 5f0c… --quiet', does: 'the token alone, for a script' },
  ],
  arguments: [userArgument],
  options: [streamOption],
  kind: 'token-mint',
  dataSchema: async () => (await import('../outputs/token-mint.ts')).dataSchema,
  load: async () => (await import('./token.ts')).runTokenMint,
};

export const tokenInspectSpec: CommandSpec = {
  path: ['token', 'inspect'],
  summary: 'decode a LiveKit token and judge it in words',
  description:
    'Says who may do what where and until when, with the defaults that LiveKit fills in for grants the token does not ' +
    "state, what whoever holds it can do, and what is wrong with it. Needs no secret; with the target's at hand the " +
    'signature is checked too. Exits 99 when the token is dangerous.',
  examples: [
    {
      line: 'trollfix token inspect < token.txt',
      does: 'a token from stdin: it stays out of the shell history',
    },
    { line: 'trollfix token inspect --file token.txt --json', does: 'a token from a file' },
    { line: 'trollfix token inspect eyJhbGciOi…', does: 'a token from the command line' },
  ],
  arguments: [
    {
      name: 'token',
      description: 'the JWT; none means stdin, which keeps it out of the history',
      required: false,
    },
  ],
  options: [{ flags: '--file <file>', description: 'a file that holds the JWT; - is stdin' }],
  kind: 'token-inspect',
  dataSchema: async () => (await import('../outputs/token-inspect.ts')).dataSchema,
  load: async () => (await import('./token.ts')).runTokenInspect,
};

export const tokenSpecs: readonly CommandSpec[] = [tokenMintSpec, tokenInspectSpec, tokenAttackSpec];
