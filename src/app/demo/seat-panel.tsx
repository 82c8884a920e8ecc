import type { SupabaseClient } from '@supabase/supabase-js';
import type { SeatEjection } from '../seat-state.ts';
import type { StreamSeats } from '../use-stream-seats.ts';
import { timeText } from './out-panel.tsx';
import { Stage } from './stage.tsx';

const losses: Readonly<Record<SeatEjection['cause'], string>> = {
  revoked: 'Your seat was taken by a moderator.',
  banned: 'You were taken out of the stream.',
  expired: 'The time of your seat is over.',
  removed: 'Your seat is gone.',
};

const connections: Readonly<Record<StreamSeats['connection'], string>> = {
  connecting: 'asking about your seat …',
  live: 'changes arrive as they happen',
  polling: 'asking every few seconds',
  offline: 'the server cannot be reached; showing what was known last',
};

/** The caller's seat: the stage while there is one, and how to get one while there is none. */
export function SeatPanel(props: {
  readonly supabase: SupabaseClient;
  readonly streamId: string;
  readonly userId: string;
  readonly seats: StreamSeats;
}) {
  const { supabase, streamId, userId, seats } = props;
  const { seat, connection, ejection } = seats;
  return (
    <section className="card" aria-labelledby="stage-title">
      <div className="card-head">
        <h2 id="stage-title">Stage</h2>
        <span className={`connection ${connection}`}>{connections[connection]}</span>
      </div>
      {seat.status === 'seated' && (
        <>
          <p>
            You hold a seat as <strong>{seat.role}</strong>
            {seat.expiresAt === null ? '.' : ` until ${timeText(seat.expiresAt)}.`}
            {!seat.canPublish && ' You may stay on stage, but not show anything.'}
          </p>
          <Stage
            key={`${seat.grantedAt} ${seat.canPublish}`}
            supabase={supabase}
            streamId={streamId}
            userId={userId}
            canPublish={seat.canPublish}
          />
        </>
      )}
      {(seat.status === 'none' || seat.status === 'lost') && (
        <>
          {ejection !== null && (
            <p className="loss" role="alert">
              {losses[ejection.cause]}
              {ejection.reason !== null && ` Reason: ${ejection.reason}`}
            </p>
          )}
          <p>You are watching. A moderator gives you a seat from the command line:</p>
          <Command text={`trollfix seat grant ${userId} --stream ${streamId}`} />
        </>
      )}
      {seat.status === 'loading' && <p className="quiet">…</p>}
    </section>
  );
}

function Command(props: { readonly text: string }) {
  return (
    <div className="command">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must be able to do that too */}
      <code tabIndex={0}>{props.text}</code>
      <button type="button" onClick={() => void navigator.clipboard.writeText(props.text)}>
        Copy
      </button>
    </div>
  );
}
