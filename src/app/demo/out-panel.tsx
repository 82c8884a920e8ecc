import type { StreamSeat } from '../seat-state.ts';

/** All that somebody who is banned gets to see. */
export function OutPanel(props: { readonly seat: Extract<StreamSeat, { status: 'banned' }> }) {
  const { cause, reason, until } = props.seat;
  return (
    <main className="notice" role="alert">
      <h2>{cause === 'revoked' ? 'Your seat was taken' : 'You were taken out of this stream'}</h2>
      {reason !== null && (
        <p>
          Reason: <q>{reason}</q>
        </p>
      )}
      <p>{until === null ? 'Until a moderator lets you in again.' : `Until ${timeText(until)}.`}</p>
    </main>
  );
}

/** A time of day, with the date when it is another day. */
export function timeText(iso: string): string {
  const time = new Date(iso);
  const isToday = time.toDateString() === new Date().toDateString();
  return isToday ? time.toLocaleTimeString() : time.toLocaleString();
}
