import { redact } from '../../kernel/redact.ts';
import { classifyLiveKitError } from './livekit-error.ts';
import { type SignalDoor, signalUrl } from './signal-participant.ts';

/** What LiveKit's pre-flight check said: whether it would take this token, without letting anybody in. */
export type ValidateOutcome =
  | { readonly kind: 'accepted'; readonly status: number }
  | { readonly kind: 'refused'; readonly status: number; readonly message: string }
  | { readonly kind: 'unreachable'; readonly message: string };

/** As for the doors themselves: an answer later than this is none. */
const answerDeadlineMs = 5_000;

/** Asks `/rtc/validate` or `/rtc/v1/validate` what would become of an entry by that door. */
export async function validateEntry(url: string, token: string, door: SignalDoor): Promise<ValidateOutcome> {
  const asked = new URL(signalUrl(url, door).replace(/^ws/, 'http'));
  asked.pathname = `${door.path}/validate`;
  try {
    const response = await fetch(asked, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(answerDeadlineMs),
    });
    const message = redact((await response.text()).trim().slice(0, 500));
    if (response.ok) return { kind: 'accepted', status: response.status };
    return { kind: 'refused', status: response.status, message };
  } catch (error) {
    return { kind: 'unreachable', message: classifyLiveKitError(error).message };
  }
}
