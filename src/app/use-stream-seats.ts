import type { SupabaseClient } from '@supabase/supabase-js';
import { useEffect, useRef, useState } from 'react';
import type { SeatEjection } from './seat-state.ts';
import { initialSeatView, type SeatView, watchStreamSeat } from './seat-watcher.ts';

export interface StreamSeatsOptions {
  readonly supabase: SupabaseClient;
  /** null: nothing to watch (yet). */
  readonly streamId: string | null;
  /** The signed-in user; null: nobody is. */
  readonly userId: string | null;
  /** Leave the LiveKit room here. Called once per loss; may be a new function on every render. */
  readonly onEject?: (ejection: SeatEjection) => void;
  readonly pollMs?: number;
}

export type StreamSeats = SeatView;

interface Held {
  readonly supabase: SupabaseClient;
  readonly streamId: string;
  readonly userId: string;
  readonly view: SeatView;
}

/**
 * The caller's seat on a stream, as the database has it. Render the stage only while `seat.status` is `seated`.
 *
 * What it gives is always of the stream and user asked for: after a change of either, after an unmount and in the
 * second mount of StrictMode it begins with `loading`, in the very same render.
 */
export function useStreamSeats(options: StreamSeatsOptions): StreamSeats {
  const { supabase, streamId, userId, pollMs } = options;
  const [held, setHeld] = useState<Held | null>(null);
  const onEject = useRef(options.onEject);
  useEffect(() => {
    onEject.current = options.onEject;
  });
  useEffect(() => {
    if (streamId === null || userId === null) return;
    const watch = watchStreamSeat({
      supabase,
      streamId,
      userId,
      onEject: (ejection) => onEject.current?.(ejection),
      onChange: (view) => setHeld({ supabase, streamId, userId, view }),
      ...(pollMs === undefined ? {} : { pollMs }),
    });
    return () => {
      watch.stop();
      // a component that is hidden and shown again keeps its state
      setHeld(null);
    };
  }, [supabase, streamId, userId, pollMs]);
  const isOurs = held?.supabase === supabase && held.streamId === streamId && held.userId === userId;
  return isOurs ? held.view : initialSeatView;
}
