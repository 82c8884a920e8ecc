import { experiments } from '../chaos/experiments.ts';
import { runChatProbe } from '../probes/chat/chat-probe.ts';
import { runGiftProbe } from '../probes/gift/gift-probe.ts';
import { runHlsProbe } from '../probes/hls/hls-probe.ts';
import { runLeaderboardProbe } from '../probes/leaderboard/leaderboard-probe.ts';
import { runSeatProbe } from '../probes/seat/seat-probe.ts';
import { runTokenProbe } from '../probes/token/token-probe.ts';
import type { MatrixRow } from '../record/matrix-row.ts';
import type { Measurement } from '../record/measurement.ts';
import type { DrillPlan } from './drill-plan.ts';
import { owedBy, type Part, rowsOwed, runMatrix, runPart } from './parts.ts';
import type { RunSession } from './session.ts';
import { withEnforcer } from './with-enforcer.ts';

/** What a run has found so far; filled as it goes, so that an interrupted run still has what it had. */
export interface RunFindings {
  readonly measurements: Measurement[];
  readonly matrix: MatrixRow[];
}

/** The probes by the name they have on the command line, with what each owes to the report. */
export function probeParts(plan: DrillPlan): Readonly<Record<keyof Omit<DrillPlan, 'repetitions'>, Part>> {
  return {
    chat: {
      name: 'chat',
      owes: [
        { id: 'chat.throughput', title: 'Chat Throughput', unit: 'msg/s' },
        { id: 'chat.latency', title: 'Chat Latency', unit: 'ms' },
      ],
      run: (context) => runChatProbe(context, plan.chat),
    },
    gift: {
      name: 'gift',
      owes: [
        { id: 'gift.ingestion', title: 'Gift Ingestion', unit: 'gifts/s' },
        { id: 'gift.settlement', title: 'Gift Settlement', unit: 'gifts/s' },
      ],
      run: (context) => runGiftProbe(context, plan.gift),
    },
    leaderboard: {
      name: 'leaderboard',
      owes: [{ id: 'leaderboard.read', title: 'Leaderboard Read', unit: 'ms' }],
      run: (context) => runLeaderboardProbe(context, plan.leaderboard),
    },
    seat: {
      name: 'seat',
      owes: [
        { id: 'seat.ejection', title: 'Seat Ejection', unit: 'ms' },
        { id: 'seat.readmission', title: 'Seat Readmission', unit: 'doors open' },
      ],
      run: (context) => withEnforcer(context, () => runSeatProbe(context, plan.seat)),
    },
    token: {
      name: 'token',
      owes: [{ id: 'token.hygiene', title: 'Token Hygiene', unit: 'cases held' }],
      run: (context) => runTokenProbe(context, plan.token),
    },
    hls: {
      name: 'hls',
      owes: [
        { id: 'hls.startup', title: 'HLS Startup', unit: 'ms' },
        { id: 'hls.viewers', title: 'HLS Viewers', unit: 'viewers' },
      ],
      run: (context) => runHlsProbe(context, plan.hls),
    },
  };
}

/**
 * Every probe, then every experiment. What fails is in the findings with its reason; what an interruption kept from
 * running is in them as `not_run`, and the interruption is passed on.
 */
export async function runDrill(session: RunSession, plan: DrillPlan, findings: RunFindings): Promise<void> {
  const parts = Object.values(probeParts(plan));
  try {
    for (const part of parts) findings.measurements.push(...(await runPart(session, part)));
    await runMatrix(session, experiments, plan.repetitions, (row) => findings.matrix.push(row));
  } finally {
    const why = 'the run was interrupted before it';
    findings.measurements.push(...owedBy(parts, findings.measurements, why));
    findings.matrix.push(...rowsOwed(experiments, findings.matrix, why));
  }
}
