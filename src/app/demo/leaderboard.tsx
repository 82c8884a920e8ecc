import type { SupabaseClient } from '@supabase/supabase-js';
import { useCallback } from 'react';
import { readStandings } from './stream-rows.ts';
import { usePolled } from './use-polled.ts';

/** The list changes with a settlement, every ten seconds at most. */
const standingsPollMs = 5_000;

/** Who has given the most on this stream. */
export function Leaderboard(props: { readonly supabase: SupabaseClient; readonly streamId: string }) {
  const { supabase, streamId } = props;
  const read = useCallback(() => readStandings(supabase, streamId), [supabase, streamId]);
  const [standings] = usePolled(read, standingsPollMs);
  return (
    <section className="card" aria-labelledby="leaders-title">
      <h2 id="leaders-title">Leaderboard</h2>
      {standings === undefined || standings.length === 0 ? (
        <p className="quiet">No gifts yet: the first place is free.</p>
      ) : (
        <ol className="leaders">
          {standings.map(({ userId, name, total }) => (
            <li key={userId}>
              <span>{name}</span> <b>{total}</b>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
