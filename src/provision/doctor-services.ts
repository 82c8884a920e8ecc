import { readFile } from 'node:fs/promises';
import { isLoopbackHost } from '../kernel/loopback.ts';
import { HlsFetcher } from '../target/hls/fetcher.ts';
import { liveKitAdmin } from '../target/livekit/admin.ts';
import { requestToken } from '../target/livekit/token-endpoint.ts';
import { type RestAnswer, SupabaseRest } from '../target/supabase/rest.ts';
import type { CheckDefinition, DoctorContext, Finding } from './doctor-check.ts';

/** A healthy service answers in milliseconds; one that takes longer than this is as good as gone. */
const timeoutMs = 8_000;
/** 5,000 sockets of a load run, as many of the gateway's, and some files (supabase.md §5). */
const enoughFiles = 10_240;

export const serviceChecks: readonly CheckDefinition[] = [
  { id: 'supabase.anon_key', title: 'the anon key is the anon key', run: anonKey },
  {
    id: 'supabase.service_role_key',
    title: 'the service role key is the service role key',
    run: serviceRoleKey,
  },
  { id: 'livekit.reachable', title: 'LiveKit answers and takes the key', run: liveKit },
  { id: 'token.endpoint', title: 'the token endpoint asks who is there', run: tokenEndpoint },
  { id: 'hls.playlist', title: 'the HLS playlist is served as one', run: hls },
  { id: 'machine.open_files', title: 'enough open files for a load run', run: openFiles },
];

/** The role a key stands for, as far as it shows: JWTs are read, not verified; that is the server's part. */
export function roleOfKey(key: string): string | null {
  if (key.startsWith('sb_publishable_')) return 'anon';
  if (key.startsWith('sb_secret_')) return 'service_role';
  const payload = key.split('.')[1];
  if (payload === undefined) return null;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    const role = typeof claims === 'object' && claims !== null && 'role' in claims ? claims.role : null;
    return typeof role === 'string' ? role : null;
  } catch {
    return null;
  }
}

/** Asks for a table that only the service role may read: the answer tells which role the server takes the key for. */
async function askLedger(context: DoctorContext, apiKey: string): Promise<RestAnswer> {
  const rest = new SupabaseRest({
    supabaseUrl: context.target.supabaseUrl,
    apiKey,
    connections: 1,
    timeoutMs,
  });
  try {
    return await rest.request('GET', '/rest/v1/gift_settings?select=fee_bps&limit=1');
  } finally {
    await rest.close();
  }
}

async function anonKey(context: DoctorContext): Promise<Finding> {
  const key = context.target.anonKey.reveal();
  const role = roleOfKey(key);
  if (role === 'service_role') {
    return {
      status: 'fail',
      detail:
        'the key configured as anon key is a service role key: whoever gets it from the page owns the database',
      fix: 'trollfix init',
    };
  }
  const answer = await askLedger(context, key);
  if (answer.status === 0) return unreachable(context, answer.text);
  if (answer.status === 200) {
    return {
      status: 'fail',
      detail: 'the server lets this key read what only the service role may',
      fix: 'trollfix provision --check',
    };
  }
  if (isKeptOut(answer)) {
    return {
      status: 'ok',
      detail: `role ${role ?? 'unknown'}, kept out of the ledger (HTTP ${answer.status})`,
    };
  }
  if (isSchemaMissing(answer)) return schemaMissing;
  return refused(answer);
}

async function serviceRoleKey(context: DoctorContext): Promise<Finding> {
  const key = context.target.serviceRoleKey?.reveal();
  if (key === undefined) return { status: 'skip', detail: 'the target has no serviceRoleKey' };
  const role = roleOfKey(key);
  if (role !== 'service_role') {
    return {
      status: 'fail',
      detail: `its role is ${role ?? 'unreadable'}, not service_role`,
      fix: 'trollfix init',
    };
  }
  const answer = await askLedger(context, key);
  if (answer.status === 0) return unreachable(context, answer.text);
  if (answer.status === 200) return { status: 'ok', detail: 'the server takes it for service_role' };
  return isSchemaMissing(answer) ? schemaMissing : refused(answer);
}

/** PostgREST's answer to a good key without the right; a bad key is refused without the SQLSTATE. */
function isKeptOut({ status, text }: RestAnswer): boolean {
  return (status === 401 || status === 403) && text.includes('42501');
}

function isSchemaMissing({ text }: RestAnswer): boolean {
  return /PGRST205|42P01/.test(text);
}

const schemaMissing: Finding = {
  status: 'warn',
  detail: 'taken, but the schema is not there yet',
  fix: 'trollfix provision',
};

function refused({ status, text }: RestAnswer): Finding {
  return { status: 'fail', detail: `HTTP ${status}: ${shortened(text)}`, fix: 'trollfix init' };
}

function unreachable({ target }: DoctorContext, why: string): Finding {
  const local = isLoopbackHost(new URL(target.supabaseUrl).hostname);
  return {
    status: 'fail',
    detail: `no answer from ${target.supabaseUrl}: ${why}`,
    fix: local ? 'trollfix up --detach' : 'trollfix init',
  };
}

async function liveKit({ target }: DoctorContext): Promise<Finding> {
  if (target.livekit === undefined) return { status: 'skip', detail: 'the target has no livekit' };
  const admin = liveKitAdmin(target.livekit);
  // of a room that nobody made: the answer is an empty list, and only a right key gets it
  await admin.occupants('trollfix-doctor');
  return { status: 'ok', detail: `${target.livekit.url} as ${target.livekit.apiKey}` };
}

async function tokenEndpoint({ target }: DoctorContext): Promise<Finding> {
  if (target.tokenEndpoint === undefined)
    return { status: 'skip', detail: 'the target has no tokenEndpoint' };
  const answer = await requestToken(target.tokenEndpoint, { apiKey: null, bearer: null, body: '{}' });
  if (answer.status === 0) {
    return { status: 'fail', detail: `no answer from ${target.tokenEndpoint}: ${answer.problem ?? ''}` };
  }
  if (answer.token !== null) {
    return {
      status: 'fail',
      detail: 'it gives a token to a caller without any key',
      fix: 'trollfix drill --quick',
    };
  }
  if (answer.status === 401 || answer.status === 403) {
    return { status: 'ok', detail: `HTTP ${answer.status} without a key` };
  }
  return { status: 'warn', detail: `HTTP ${answer.status} to a caller without a key, expected 401` };
}

const playlistTypes = /^(application\/vnd\.apple\.mpegurl|application\/x-mpegurl|audio\/mpegurl)\b/i;

async function hls({ target }: DoctorContext): Promise<Finding> {
  if (target.hls === undefined) return { status: 'skip', detail: 'the target has no hls url' };
  const fetcher = new HlsFetcher({ connections: 1, timeoutMs, sessionId: 'trollfix-doctor' });
  try {
    const answer = await fetcher.get(target.hls.url);
    if (answer.status === 0)
      return { status: 'fail', detail: `no answer from ${target.hls.url}: ${answer.failure}` };
    if (answer.status !== 200)
      return { status: 'fail', detail: `HTTP ${answer.status} from ${target.hls.url}` };
    if (!answer.text.startsWith('#EXTM3U'))
      return { status: 'fail', detail: 'HTTP 200, but the body is no playlist' };
    const type = String(answer.headers['content-type'] ?? '');
    if (!playlistTypes.test(type)) {
      return {
        status: 'warn',
        detail: `served as "${type}": some players refuse it; application/vnd.apple.mpegurl is right`,
      };
    }
    return { status: 'ok', detail: `${answer.bytes} bytes of ${type}` };
  } finally {
    await fetcher.close();
  }
}

async function openFiles(): Promise<Finding> {
  const text = await readFile('/proc/self/limits', 'utf8').catch(() => null);
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(text ?? '')?.[1];
  if (soft === undefined) return { status: 'skip', detail: 'this system does not tell' };
  if (soft === 'unlimited' || Number(soft) >= enoughFiles) return { status: 'ok', detail: soft };
  return {
    status: 'warn',
    detail: `${soft}: about ${Math.floor(Number(soft) / 2)} connections`,
    fix: `ulimit -n ${enoughFiles}`,
  };
}

function shortened(text: string): string {
  return text.length > 160 ? `${text.slice(0, 157)}…` : text;
}
