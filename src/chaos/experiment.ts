import type { ProbeContext } from '../probes/probe.ts';
import type { Invariant, MatrixRow } from '../record/matrix-row.ts';

/** What the target must have for an experiment to mean anything. */
export type Need = 'database' | 'userTokens' | 'livekit';

/** What one repetition of an experiment saw. The verdict follows from the invariants alone, never from the prose. */
export interface Observation {
  /** One sentence with the numbers. */
  readonly observed: string;
  readonly load: MatrixRow['load'];
  readonly fault: MatrixRow['fault'];
  readonly steadyState: MatrixRow['steadyState'];
  readonly detectionMs: number | null;
  readonly recoveryMs: number | null;
  readonly invariants: readonly Invariant[];
  /** Why the repetition proves nothing: the fault did not bite, the load did not flow. */
  readonly invalid?: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** A row of the crash matrix: its expectation is declared here, before anything runs. */
export interface Experiment {
  readonly id: string;
  readonly scenario: string;
  readonly expected: string;
  readonly remediation: string;
  /** What it does to the target, and what it touches there, for `chaos list` and the confirmation prompt. */
  readonly does: string;
  readonly touches: string;
  readonly needs: readonly Need[];
  run(context: ExperimentContext): Promise<Observation>;
}

/** A probe's context, with a history that becomes the row's evidence. */
export interface ExperimentContext extends ProbeContext {
  /** Appends to the experiment's history: every operation as invoked, answered, failed or of unknown outcome. */
  readonly history: (entry: HistoryEntry) => void;
}

export interface HistoryEntry {
  readonly process: string;
  readonly op: string;
  readonly type: 'invoke' | 'ok' | 'fail' | 'info';
  readonly value?: unknown;
}
