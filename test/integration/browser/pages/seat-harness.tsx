import { createClient, type SupabaseClient } from '@supabase/supabase-js';
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { loadConfig } from '../../../../src/app/demo/config.ts';
import { useStreamSeats } from '../../../../src/app/react.ts';

// What a test steers and reads: the hook in StrictMode, with everything it ever rendered.

interface Person {
  readonly id: string;
  readonly token: string;
}

interface Told {
  /** `<user> <status>` of every render, in order. */
  readonly renders: string[];
  readonly ejections: string[];
  /** Channels the client has. */
  channels(): number;
  show(person: string | null): void;
}

declare global {
  var told: Told;
}

const query = new URLSearchParams(location.search);
const pollMs = Number(query.get('pollMs') ?? 600_000);
// made by the test itself: [{id, token}, …]
const people = JSON.parse(query.get('people') ?? '[]') as readonly Person[];

const renders: string[] = [];
const ejections: string[] = [];
let current: Person | undefined;

function Seat(props: {
  readonly supabase: SupabaseClient;
  readonly streamId: string;
  readonly userId: string;
}) {
  const { seat, connection } = useStreamSeats({
    ...props,
    pollMs,
    // a new function on every render, as people write it
    onEject: ({ cause }) => ejections.push(`${props.userId} ${cause}`),
  });
  renders.push(`${props.userId} ${seat.status}`);
  return (
    <p data-testid="seat" data-connection={connection}>
      {props.userId} {seat.status}
    </p>
  );
}

function Harness(props: { readonly supabase: SupabaseClient; readonly streamId: string }) {
  const [person, setPerson] = useState<string | null>(people[0]?.id ?? null);
  globalThis.told = {
    renders,
    ejections,
    channels: () => props.supabase.getChannels().length,
    show: (id) => {
      current = people.find((one) => one.id === id);
      setPerson(id);
    },
  };
  return person === null ? <p>nobody</p> : <Seat {...props} userId={person} />;
}

current = people[0];
const { anonKey, streamId } = await loadConfig();
const supabase = createClient(location.origin, anonKey, {
  accessToken: async () => current?.token ?? null,
});
const root = document.getElementById('root');
if (root === null) throw new Error('the page has no #root');
createRoot(root).render(
  <StrictMode>
    <Harness supabase={supabase} streamId={streamId} />
  </StrictMode>,
);
