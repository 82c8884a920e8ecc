import { type Decision, decideRound } from './model.ts';
import type { GiftReading, LedgerReadings, SettlementReading } from './readings.ts';

interface Decided {
  readonly gift: GiftReading;
  readonly settlement: SettlementReading;
}

/** What moved coins, in the order in which the settlement lock let it happen. */
type Step =
  | { readonly at: number; readonly round: Decided[] }
  | { readonly at: number; readonly reversal: LedgerReadings['reversals'][number] };

/**
 * Plays the rounds again by the rules of the model, from the deposits on, and says which decisions come out otherwise:
 * a gift that overtook another of its sender, one paid with coins of the same round, one failed with money there.
 * A round is what was decided at the same moment; rounds and reversals exclude each other, so their times order them.
 * Deposits must all have come before the first round.
 */
export function decisionsUnlikeReplay(readings: LedgerReadings): string[] {
  let wallets = new Map<string, bigint>();
  for (const { user, amount } of readings.deposits) wallets.set(user, (wallets.get(user) ?? 0n) + amount);
  const wrong: string[] = [];
  for (const step of stepsOf(readings)) {
    if ('reversal' in step) {
      const { sender, receiver, amount, fee } = step.reversal;
      wallets.set(sender, (wallets.get(sender) ?? 0n) + amount);
      wallets.set(receiver, (wallets.get(receiver) ?? 0n) - amount + fee);
      continue;
    }
    const round = step.round.toSorted((a, b) => a.gift.seq - b.gift.seq);
    const played = decideRound(
      round.map(({ gift }) => gift),
      wallets,
      readings.feeBps,
    );
    wallets = played.wallets;
    for (const [i, { gift, settlement }] of round.entries()) {
      const expected = played.decisions[i];
      if (expected !== undefined && sameDecision(expected, settlement)) continue;
      wrong.push(
        `gift ${gift.seq} of ${gift.sender}: ${inWords(settlement)}, by the rules ${expected && inWords(expected)}`,
      );
    }
  }
  return wrong;
}

function sameDecision(a: Decision, b: SettlementReading): boolean {
  return a.status === b.status && a.reason === b.reason && a.fee === b.fee;
}

function inWords({ status, reason, fee }: Decision | SettlementReading): string {
  return status === 'settled' ? `settled with a fee of ${fee}` : `failed (${reason})`;
}

function stepsOf({ gifts, settlements, reversals }: LedgerReadings): Step[] {
  const bySeq = new Map(gifts.map((gift) => [gift.seq, gift]));
  const decided = settlements.flatMap((settlement) => {
    const gift = bySeq.get(settlement.seq);
    return gift === undefined ? [] : [{ gift, settlement }];
  });
  const rounds = Map.groupBy(decided, ({ settlement }) => settlement.settledAt);
  return [
    ...[...rounds].map(([at, round]) => ({ at, round })),
    ...reversals.map((reversal) => ({ at: reversal.reversedAt, reversal })),
  ].toSorted((a, b) => a.at - b.at);
}
