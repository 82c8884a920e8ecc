import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';

/** The Edge Function as the Supabase CLI deploys it: `supabase/functions/livekit-token/`. */
export const functionName = 'livekit-token';

/** What stands in `supabase/config.toml` about it. */
export const functionConfig = `[functions.${functionName}]
enabled = true
# the function verifies the JWT itself, pinned to the project's own keys: the relay's check only knows the legacy
# secret and refuses users whose tokens are signed with the newer signing keys
verify_jwt = false
import_map = "./functions/${functionName}/deno.json"
entrypoint = "./functions/${functionName}/index.ts"
`;

/** Bare names in the code, so that it also runs where Deno is not; majors pinned, as the policy is tested with them. */
export const functionImports = `${JSON.stringify(
  { imports: { '@supabase/supabase-js': 'npm:@supabase/supabase-js@2', jose: 'npm:jose@6' } },
  null,
  2,
)}\n`;

/** The pure modules of `app/` that the function consists of, in the order they import each other. */
const modules = ['token-policy', 'token-request'] as const;

/**
 * Files of the function by name. The policy is the very text the embedded gateway runs, without its types.
 * @returns text of `index.ts` and of one `.js` for each module
 */
export async function functionFiles(): Promise<ReadonlyMap<string, string>> {
  const files = new Map([['index.ts', generated(entry)]]);
  for (const name of modules) files.set(`${name}.js`, generated(await moduleText(name)));
  return files;
}

/** Whether a file is as trollfix wrote it, in whatever version: such a one may be replaced by a newer. */
export function isUntouched(text: string): boolean {
  const [mark = '', ...lines] = text.split('\n');
  return mark === markOf(lines.join('\n'));
}

function generated(text: string): string {
  return `${markOf(text)}\n${text}`;
}

function markOf(text: string): string {
  const hash = createHash('sha256').update(text).digest('hex');
  return `// Written by \`trollfix provision --export-supabase\`, which replaces it while it is untouched: sha256 ${hash}`;
}

/** Run from the sources the modules are TypeScript, in the package they have been compiled. */
async function moduleText(name: (typeof modules)[number]): Promise<string> {
  const isSource = import.meta.url.endsWith('.ts');
  const url = new URL(`../app/${name}.${isSource ? 'ts' : 'js'}`, import.meta.url);
  const text = await readFile(url, 'utf8');
  const plain = isSource ? withoutTypes(text) : text.replace(/^\/\/# sourceMappingURL=.*$/m, '');
  return plain.replace(/from '\.\/([a-z-]+)\.ts'/g, "from './$1.js'");
}

/** Node puts blanks where types were, to keep columns; somebody will read this, so they go, and so do emptied lines. */
function withoutTypes(text: string): string {
  const sources = text.split('\n');
  const lines = stripTypeScriptTypes(text).split('\n');
  return lines
    .flatMap((line, index) => {
      const source = sources[index] ?? '';
      return line.trim() === '' && source.trim() !== '' ? [] : [withoutBlanks(line, source)];
    })
    .join('\n')
    .replace(/\n{3,}/g, '\n\n');
}

/** The line without the blanks that stand where its source had something. */
function withoutBlanks(line: string, source: string): string {
  let kept = '';
  for (let at = 0; at < line.length; ) {
    if (line[at] === source[at]) kept += line[at++];
    else {
      const from = at;
      while (line[at] === ' ') at++;
      // blanks that the source has too are its own
      while (at > from && source[at - 1] === ' ') at--;
      if (at === from) kept += line[at++];
    }
  }
  return kept.trimEnd();
}

const entry = `/**
 * Who gets which LiveKit token. The policy is in token-policy.js; here are only the ways to verify, look up and sign.
 *
 * Secrets (\`supabase secrets set\`): LIVEKIT_URL is the address that clients dial (the gate, where there is one),
 * LIVEKIT_API_KEY and LIVEKIT_API_SECRET are the server's. JWT_SECRET is the legacy JWT secret of the project, for
 * users whose tokens are still signed with it; without it only the project's signing keys count.
 */
import { createClient } from '@supabase/supabase-js';
import { createRemoteJWKSet, decodeProtectedHeader, errors, jwtVerify, SignJWT } from 'jose';
import { answerTokenRequest } from './token-request.js';

const env = (name: string): string | undefined => Deno.env.get(name) || undefined;
const utf8 = new TextEncoder();

const supabaseUrl = env('SUPABASE_URL') ?? '';
const service = createClient(supabaseUrl, env('SUPABASE_SERVICE_ROLE_KEY') ?? '', {
  auth: { persistSession: false, autoRefreshToken: false },
});
const jwtSecret = env('JWT_SECRET');
const signingKeys = createRemoteJWKSet(new URL('/auth/v1/.well-known/jwks.json', supabaseUrl));

/** Each key is tied to its own algorithms, so that a public key can never pass for a secret. */
async function verify(jwt: string) {
  try {
    if (algorithmOf(jwt) === 'HS256') {
      if (jwtSecret === undefined) return null;
      return (await jwtVerify(jwt, utf8.encode(jwtSecret), { algorithms: ['HS256'] })).payload;
    }
    return (await jwtVerify(jwt, signingKeys, { algorithms: ['ES256', 'RS256'] })).payload;
  } catch (error) {
    if (error instanceof errors.JOSEError) return null;
    // a key set that cannot be fetched is no fault of the token
    throw error;
  }
}

function algorithmOf(jwt: string): string | undefined {
  try {
    return decodeProtectedHeader(jwt).alg;
  } catch {
    throw new errors.JWTInvalid('not a JWT');
  }
}

async function context(streamId: string, userId: string) {
  const args = { p_stream_id: streamId, p_user_id: userId };
  const { data, error } = await service.rpc('livekit_token_context', args);
  return error === null ? data : { problem: error.message };
}

const [url, apiKey, apiSecret] = [env('LIVEKIT_URL'), env('LIVEKIT_API_KEY'), env('LIVEKIT_API_SECRET')];
const host = {
  verify,
  context,
  livekit: url && apiKey && apiSecret ? { url, apiKey } : null,
  sign: (claims: Record<string, unknown>): Promise<string> =>
    new SignJWT(claims).setProtectedHeader({ alg: 'HS256', typ: 'JWT' }).sign(utf8.encode(apiSecret)),
  nowMs: () => Date.now(),
  newId: () => crypto.randomUUID(),
};

const cors = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Methods': 'POST',
  'Access-Control-Allow-Headers': 'authorization, x-client-info, apikey, content-type',
};

/** The function reads the id of a stream. */
const bodyCharsLimit = 16 * 1024;

function json(status: number, body: unknown): Response {
  const headers = { ...cors, 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };
  return new Response(JSON.stringify(body), { status, headers });
}

Deno.serve(async (request: Request): Promise<Response> => {
  if (request.method === 'OPTIONS') return new Response(null, { status: 204, headers: cors });
  const body = await request.text();
  if (body.length > bodyCharsLimit) return json(413, { code: 'too_large', message: 'the body is too large' });
  const authorization = request.headers.get('authorization');
  // what it throws is a failure of this project, not of the request: the runtime logs it and answers 500
  const answer = await answerTokenRequest({ method: request.method, authorization, body }, host);
  return json(answer.status, answer.body);
});
`;
