import type { Experiment } from './experiment.ts';
import { chatSpam } from './experiments/chat-spam.ts';
import { highLoad } from './experiments/high-load.ts';
import { insufficientFunds } from './experiments/insufficient-funds.ts';
import { seatExpiration } from './experiments/seat-expiration.ts';

/** Every experiment of the crash matrix, in the order of the report. */
export const experiments: readonly Experiment[] = [chatSpam, seatExpiration, insufficientFunds, highLoad];
