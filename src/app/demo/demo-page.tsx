import type { SupabaseClient } from '@supabase/supabase-js';
import { useCallback } from 'react';
import { useStreamSeats } from '../use-stream-seats.ts';
import { ChatPanel } from './chat-panel.tsx';
import { GiftPanel } from './gift-panel.tsx';
import { Leaderboard } from './leaderboard.tsx';
import { OutPanel } from './out-panel.tsx';
import { Player } from './player.tsx';
import { SeatPanel } from './seat-panel.tsx';
import { SignIn } from './sign-in.tsx';
import { type LiveStream, readStream } from './stream-rows.ts';
import { usePolled } from './use-polled.ts';
import { useSession } from './use-session.ts';

/** The title of a stream, and whether it is over. */
const streamPollMs = 15_000;

/** The whole page: watch, hold a seat, chat, give. */
export function DemoPage(props: { readonly supabase: SupabaseClient; readonly streamId: string }) {
  const { supabase, streamId } = props;
  const session = useSession(supabase);
  const userId = session?.user.id ?? null;
  // the stage leaves the room when it is unmounted; an app that keeps its room elsewhere leaves it in onEject
  const seats = useStreamSeats({ supabase, streamId, userId });
  const read = useCallback(() => readStream(supabase, streamId), [supabase, streamId]);
  const [stream] = usePolled(read, streamPollMs);

  return (
    <div className="page">
      <header className="top">
        <p className="brand">trollfix</p>
        <h1>{stream?.title ?? 'Demo stream'}</h1>
        {stream?.isLive === true && <span className="on-air">Live</span>}
        {session ? (
          <div className="who">
            <span>{nameOf(session.user.user_metadata) ?? session.user.email}</span>
            <button type="button" onClick={() => void supabase.auth.signOut()}>
              Sign out
            </button>
          </div>
        ) : null}
      </header>
      {seats.seat.status === 'banned' ? (
        <OutPanel seat={seats.seat} />
      ) : (
        <main className="columns">
          <div className="column">
            <Player url={stream?.hlsUrl ?? null} />
            {session ? (
              <SeatPanel supabase={supabase} streamId={streamId} userId={session.user.id} seats={seats} />
            ) : (
              session === null && <SignIn supabase={supabase} />
            )}
            <Belongings {...{ supabase, streamId, stream, userId }} />
          </div>
          <ChatPanel
            supabase={supabase}
            streamId={streamId}
            userId={userId}
            isKnown={session !== undefined}
          />
        </main>
      )}
    </div>
  );
}

function Belongings(props: {
  readonly supabase: SupabaseClient;
  readonly streamId: string;
  readonly stream: LiveStream | undefined;
  readonly userId: string | null;
}) {
  const { supabase, streamId, stream, userId } = props;
  return (
    <div className="pair">
      {userId !== null && stream !== undefined && (
        <GiftPanel
          key={userId}
          supabase={supabase}
          streamId={streamId}
          userId={userId}
          receiverId={stream.ownerId}
        />
      )}
      <Leaderboard supabase={supabase} streamId={streamId} />
    </div>
  );
}

function nameOf(metadata: Readonly<Record<string, unknown>>): string | null {
  return typeof metadata.display_name === 'string' ? metadata.display_name : null;
}
