import type { ChatProbeOptions } from '../probes/chat/chat-probe.ts';
import type { LoadPlan } from '../probes/probe.ts';
import { probeParts } from './drill.ts';
import { fullDrill } from './drill-plan.ts';
import type { Part } from './parts.ts';

export type LoadName = 'chat' | 'gift' | 'seat' | 'hls' | 'leaderboard';

/** What `trollfix load` asks of one probe. */
export interface LoadRequest extends LoadPlan {
  /** Rooms the users are spread over; only chat has them. */
  readonly rooms: number;
  /** The Realtime quota that the target is known to enforce. */
  readonly quota: NonNullable<ChatProbeOptions['quota']> | null;
  /** In k6's grammar, beside the probe's own. */
  readonly thresholds: readonly string[];
}

/** The probe of that name with this request as its plan. */
export function loadPart(name: LoadName, request: LoadRequest): Part {
  return probeParts({ ...fullDrill, [name]: request })[name];
}
