import type { SupabaseClient } from '@supabase/supabase-js';
import { useCallback, useState } from 'react';
import { isObject } from '../json-object.ts';
import { type Gift, readBalance, readGifts } from './stream-rows.ts';
import { usePolled } from './use-polled.ts';

/** A gift is settled within ten seconds; the balance then follows soon enough. */
const balancePollMs = 3_000;
/** The catalogue changes with a deployment. */
const cataloguePollMs = 300_000;

/** Coins, what they buy, and what became of the last gift. */
export function GiftPanel(props: {
  readonly supabase: SupabaseClient;
  readonly streamId: string;
  readonly userId: string;
  readonly receiverId: string;
}) {
  const { supabase, streamId, userId, receiverId } = props;
  const [note, setNote] = useState<string | null>(null);
  const readOwn = useCallback(() => readBalance(supabase, userId), [supabase, userId]);
  const [balance, readBalanceNow] = usePolled(readOwn, balancePollMs);
  const readAll = useCallback(() => readGifts(supabase), [supabase]);
  const [gifts] = usePolled(readAll, cataloguePollMs);

  const give = async (gift: Gift) => {
    const { error } = await supabase.rpc('send_gift', {
      p_gift_id: crypto.randomUUID(),
      p_stream_id: streamId,
      p_receiver_id: receiverId,
      p_catalog_id: gift.id,
    });
    setNote(error ? error.message : `${gift.name} is on its way: coins move at the next settlement.`);
  };
  const collect = async () => {
    setNote(await collectCoins(supabase));
    readBalanceNow();
  };

  return (
    <section className="card" aria-labelledby="gift-title">
      <div className="card-head">
        <h2 id="gift-title">Gifts</h2>
        <span className="balance">
          <span className="hidden">Your balance: </span>
          {balance ?? '…'} coins
        </span>
      </div>
      <div className="gifts">
        {gifts?.map((gift) => (
          <button key={gift.id} type="button" onClick={() => void give(gift)}>
            <span>{gift.name}</span> <small>{gift.price}</small>
          </button>
        ))}
      </div>
      <div className="row">
        <button type="button" className="link" onClick={() => void collect()}>
          Get demo coins
        </button>
      </div>
      <p className="quiet" role="status">
        {note}
      </p>
    </section>
  );
}

/** @returns what to tell the user */
async function collectCoins(supabase: SupabaseClient): Promise<string> {
  const { data } = await supabase.auth.getSession();
  if (data.session === null) return 'Sign in first.';
  const response = await fetch('coins', {
    method: 'POST',
    headers: { authorization: `Bearer ${data.session.access_token}` },
  });
  const answer: unknown = await response.json().catch(() => null);
  return isObject(answer) && typeof answer.message === 'string' ? answer.message : `HTTP ${response.status}`;
}
