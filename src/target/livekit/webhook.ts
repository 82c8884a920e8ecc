import { WebhookReceiver } from 'livekit-server-sdk';
import type { LiveKitTarget } from '../../config/target.ts';
import { messageOf } from '../../kernel/errors.ts';
import { redact } from '../../kernel/redact.ts';

/** What a guard needs to know of a webhook. */
export interface LiveKitEvent {
  /** Unique per event; a repeated delivery has the same. */
  readonly id: string;
  /** `participant_joined`, `room_started`, … */
  readonly kind: string;
  readonly room: string | null;
  /** Of the participant it is about. */
  readonly identity: string | null;
}

/** Verifies a webhook and reads it. */
export type WebhookVerifier = (
  rawBody: string,
  authorization: string | undefined,
) => Promise<LiveKitEvent | { readonly refused: string }>;

/** As LiveKit itself tolerates between clocks. */
const clockTolerance = '60s';

/**
 * Accepts what is signed with this API secret over exactly this body (claim `sha256`). The text of a refusal is redacted:
 * the header is a whole JWT.
 */
export function webhookVerifier(livekit: LiveKitTarget): WebhookVerifier {
  const receiver = new WebhookReceiver(livekit.apiKey, livekit.apiSecret.reveal());
  return async (rawBody, authorization) => {
    try {
      // never with `skipAuth`, the third argument
      const event = await receiver.receive(rawBody, authorization, false, clockTolerance);
      return {
        id: event.id,
        kind: event.event,
        room: event.room?.name ?? null,
        identity: event.participant?.identity ?? null,
      };
    } catch (error) {
      return { refused: redact(messageOf(error)) };
    }
  };
}
