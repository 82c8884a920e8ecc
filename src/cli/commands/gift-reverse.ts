import { TrollfixError } from '../../kernel/errors.ts';
import { inspectGift } from '../../ops/gift-inspection.ts';
import {
  planReversal,
  type ReversalAnswer,
  type ReversalPlan,
  reverseGift,
} from '../../ops/gift-reversal.ts';
import type { CommandContext, CommandInput, CommandResult } from '../command.ts';
import { requiredOption, textOption } from '../input-values.ts';
import { alignColumns } from '../output/columns.ts';
import { withDatabase } from '../target-database.ts';
import { giftInWords, giftReference } from './gift-inspect.ts';
import { count, number, personName } from './gift-words.ts';

export async function runGiftReverse(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const reference = giftReference(input);
  const reason = trailText('--reason', requiredOption(input, 'reason'), longestReason);
  const named = textOption(input, 'actor')?.trim();
  const actor = named === undefined ? loginName(context) : trailText('--actor', named, longestActor);
  return withDatabase(context, 'gift reverse', async (database) => {
    const gift = await inspectGift(database, reference);
    const plan = planReversal(gift);
    const what = `${giftInWords(gift)}: ${whoPays(plan, personName(gift.sender), personName(gift.receiver))}`;
    if (gift.reversal !== null) {
      const { reversalId, at: reversedAt, reason: first, actor: by } = gift.reversal;
      const reversal = { reversalId, reason: first, actor: by, reversedAt, duplicate: true };
      const text = () => `taken back already, by ${by} at ${reversedAt}: ${first}\nnothing was done\n`;
      return { data: { dryRun: input.options.dryRun === true, gift, plan, reversal }, text };
    }
    if (input.options.dryRun === true) {
      return { data: { dryRun: true, gift, plan, reversal: null }, text: () => `would take back ${what}\n` };
    }
    await context.prompts.confirm(`Take back ${what}?`);
    const reversal = await reverseGift(database, gift.giftId, { reason, actor });
    const after = await inspectGift(database, { giftId: gift.giftId });
    return {
      data: { dryRun: false, gift: after, plan, reversal },
      text: () => doneText(what, reversal, { before: gift, after }),
    };
  });
}

/** What the columns of gift_reversals hold (migrations/000009), in characters. */
const [longestReason, longestActor] = [500, 200];

/** A text for the audit trail. @throws TF-CLI-004 before anything is dialled */
function trailText(flag: string, text: string, longest: number): string {
  const { length } = [...text]; // code points, as PostgreSQL counts
  if (length >= 1 && length <= longest) return text;
  throw new TrollfixError(
    'TF-CLI-004',
    `${flag} has ${length === 0 ? 'nothing' : `${length} characters`} in it`,
    {
      hint: `it takes 1 to ${longest} characters`,
    },
  );
}

/** The audit trail names a person: the database only sees the role that all of them share. */
function loginName({ env }: CommandContext): string {
  return env.USER || env.LOGNAME || 'unknown';
}

function whoPays(plan: ReversalPlan, sender: string, receiver: string): string {
  const platform = plan.fromPlatform > 0 ? ` and the platform its fee of ${number(plan.fromPlatform)}` : '';
  return `${receiver} (who has ${number(plan.receiverHas)}) pays ${number(plan.fromReceiver)}${platform} to ${sender}`;
}

function doneText(
  what: string,
  reversal: ReversalAnswer,
  { before, after }: Record<'before' | 'after', Awaited<ReturnType<typeof inspectGift>>>,
): string {
  const wallets = [after.sender, after.receiver].map((person) => {
    const balance = (gift: typeof after) =>
      gift.wallets.find(({ userId }) => userId === person.id)?.balance ?? 0;
    return [personName(person), `${number(balance(before))} → ${count(balance(after), 'coin')}`];
  });
  const trail = `reversal ${reversal.reversalId} by ${reversal.actor} at ${reversal.reversedAt}: ${reversal.reason}`;
  const head = reversal.duplicate
    ? 'taken back already, a moment ago, by somebody else'
    : `took back ${what}`;
  return `${[head, trail, ...alignColumns(wallets, { indent: 2 })].join('\n')}\n`;
}
