import { TrollfixError } from '../../kernel/errors.ts';
import { type GiftReference, type GiftStory, inspectGift } from '../../ops/gift-inspection.ts';
import type { CommandContext, CommandInput, CommandResult, Style } from '../command.ts';
import { requiredArgument } from '../input-values.ts';
import { alignColumns } from '../output/columns.ts';
import { withDatabase } from '../target-database.ts';
import { count, number, personName, seconds } from './gift-words.ts';

export async function runGiftInspect(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const reference = giftReference(input);
  return withDatabase(context, 'gift inspect', async (database) => {
    const gift = await inspectGift(database, reference);
    return { data: gift, text: () => storyText(context, gift) };
  });
}

/** The gift that an argument names. @throws TF-CLI-004 before anything is dialled */
export function giftReference(input: CommandInput): GiftReference {
  const text = requiredArgument(input, 'gift');
  if (/^\d{1,18}$/.test(text)) return { seq: text };
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return { giftId: text };
  throw new TrollfixError('TF-CLI-004', `"${text}" is neither a gift id nor a seq`, {
    hint: 'a gift id is the uuid that its sender made; a seq is its number in the ledger',
  });
}

/** `500 coins from ada to bob on "Morning show"`. */
export function giftInWords({ amount, sender, receiver, stream }: GiftStory): string {
  return `${count(amount, 'coin')} from ${personName(sender)} to ${personName(receiver)} on ${stream.title ? `"${stream.title}"` : `stream ${stream.id}`}`;
}

function storyText({ terminal }: CommandContext, gift: GiftStory): string {
  const { style } = terminal;
  const parts = [
    `gift ${gift.giftId} (seq ${gift.seq}): ${statusLabel(style, gift.status)}\n${giftInWords(gift)}${gift.runId === null ? '' : `; synthetic, of run ${gift.runId}`}`,
    alignColumns(eventsOf(gift), { indent: 2 }).join('\n'),
  ];
  const nameOf = (id: string) => accountName(gift, id);
  if (gift.entries.length > 0) {
    const rows = gift.entries.map(({ account, kind, amount }) => [
      nameOf(account),
      kind.replace('_', ' '),
      `${amount > 0 ? '+' : ''}${number(amount)}`,
    ]);
    parts.push(['entries', ...alignColumns(rows, { indent: 2 })].join('\n'));
  }
  const wallets = gift.wallets.map(({ userId, balance, giftedTotal, giftedCount }) => [
    nameOf(userId),
    count(balance, 'coin'),
    `gave ${number(giftedTotal)} in ${count(giftedCount, 'gift')}`,
  ]);
  parts.push(['wallets now', ...alignColumns(wallets, { indent: 2 })].join('\n'));
  return `${parts.join('\n\n')}\n`;
}

/** What happened to it, in order: time and words. */
function eventsOf({ takenInAt, queue, decision, reversal, status }: GiftStory): string[][] {
  const events = [[takenInAt, 'taken in']];
  if (queue !== null) {
    const place = `${number(queue.ahead)} of ${number(queue.waiting)} are ahead of it`;
    events.push(['now', `waits for ${seconds(queue.waitedS)}; ${place}`]);
  }
  if (decision !== null) {
    const { batch, batchId, reason, fee } = decision;
    const by = batch === null ? `run ${batchId}, whose log is gone` : `run ${batchId} of ${batch.source}`;
    const what =
      decision.status === 'settled' ? `settled, fee ${number(fee)}` : `failed: ${failureInWords(reason)}`;
    events.push([decision.at, `${what}; after ${seconds(decision.waitedS)}, by ${by}`]);
    if (batch !== null) events.push(['', batchInWords(batch)]);
  }
  if (reversal !== null) {
    events.push([
      reversal.at,
      `taken back by ${reversal.actor} (reversal ${reversal.reversalId}): ${reversal.reason}`,
    ]);
  }
  if (status === 'lost') events.push(['now', 'neither decided nor waiting: see `trollfix gift audit`']);
  return events;
}

function batchInWords(batch: NonNullable<NonNullable<GiftStory['decision']>['batch']>): string {
  const ended = batch.finishedAt === null ? 'not finished' : `to ${batch.finishedAt.slice(11, 23)}`;
  const why = batch.error ?? batch.stopReason;
  return (
    `the run: ${count(batch.rounds, 'round')}, ${count(batch.claimed, 'gift')}, ${number(batch.failed)} failed, ` +
    `from ${batch.startedAt.slice(11, 23)} ${ended}${why === null ? '' : ` (${why})`}`
  );
}

function failureInWords(reason: string | null): string {
  switch (reason) {
    case 'insufficient_funds':
      return 'the sender had not enough coins left when its turn came';
    case 'no_wallet':
      return 'sender or receiver had no wallet any more';
    default:
      return reason ?? 'no reason was recorded';
  }
}

function accountName({ sender, receiver }: GiftStory, id: string): string {
  if (id === sender.id) return personName(sender);
  return id === receiver.id ? personName(receiver) : 'platform';
}

function statusLabel(style: Style, status: GiftStory['status']): string {
  if (status === 'settled') return style.green(status);
  return status === 'failed' || status === 'lost' ? style.red(status) : style.yellow(status);
}
