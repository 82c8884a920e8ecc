import type { SupabaseClient } from '@supabase/supabase-js';
import type { RemoteParticipant, Room } from 'livekit-client';
import { isObject } from '../json-object.ts';
import { drawTestPicture } from './test-picture.ts';

export interface StageView {
  readonly state: 'joining' | 'joined' | 'left' | 'failed';
  /** Why. */
  readonly detail: string | null;
  readonly others: ReadonlyArray<{
    readonly identity: string;
    readonly name: string;
    readonly stream: MediaStream | null;
  }>;
}

/** The test picture's pace: it shows that it moves, and costs next to nothing. */
const picturePerS = 5;

/**
 * Joins the stream's room with a token from the token endpoint, and shows a test picture there when given one.
 * @returns leaves the room; nothing is told afterwards
 */
export function joinStage(options: {
  readonly supabase: SupabaseClient;
  readonly streamId: string;
  readonly picture?: HTMLCanvasElement;
  readonly label?: string;
  readonly onView: (view: StageView) => void;
}): () => void {
  let isOver = false;
  let room: Room | undefined;
  const stopPicture = options.picture && drawTestPicture(options.picture, options.label ?? '', picturePerS);
  const tell = (state: StageView['state'], detail: string | null = null) => {
    if (!isOver) options.onView({ state, detail, others: othersOf(room) });
  };
  const join = async () => {
    const { token, url } = await askForToken(options.supabase, options.streamId);
    const livekit = await import('livekit-client');
    if (isOver) return;
    // its own log tells every step, addresses and all
    livekit.setLogLevel('warn');
    const { RoomEvent } = livekit;
    const joining = new livekit.Room();
    room = joining;
    const refresh = () => tell('joined');
    joining
      .on(RoomEvent.ParticipantConnected, refresh)
      .on(RoomEvent.ParticipantDisconnected, refresh)
      .on(RoomEvent.TrackSubscribed, refresh)
      .on(RoomEvent.TrackUnsubscribed, refresh)
      .on(RoomEvent.Disconnected, (reason) => {
        const word = reason === undefined ? null : livekit.DisconnectReason[reason];
        tell('left', word === undefined || word === null ? null : `LiveKit says: ${word}`);
      });
    await joining.connect(url, token);
    tell('joined');
    const [track] = options.picture?.captureStream(picturePerS).getVideoTracks() ?? [];
    if (track !== undefined && !isOver) {
      await joining.localParticipant.publishTrack(track, { source: livekit.Track.Source.Camera });
    }
  };
  join().catch((error: unknown) => tell('failed', error instanceof Error ? error.message : String(error)));
  return () => {
    isOver = true;
    stopPicture?.();
    // leaving cannot fail in a way that matters: the server notices that we are gone
    room?.disconnect().catch(() => {});
  };
}

async function askForToken(
  supabase: SupabaseClient,
  streamId: string,
): Promise<{ token: string; url: string }> {
  const { data, error } = await supabase.functions.invoke<unknown>('livekit-token', { body: { streamId } });
  if (error) throw new Error(await refusalText(error));
  if (!isObject(data) || typeof data.token !== 'string' || typeof data.url !== 'string') {
    throw new Error('the token endpoint gave no token');
  }
  return { token: data.token, url: data.url };
}

/** The endpoint's own words: supabase-js only says that the status was no 2xx. */
async function refusalText(error: { readonly message: string; readonly context?: unknown }): Promise<string> {
  if (!(error.context instanceof Response)) return error.message;
  const body: unknown = await error.context.json().catch(() => null);
  return isObject(body) && typeof body.message === 'string' ? body.message : error.message;
}

function othersOf(room: Room | undefined): StageView['others'] {
  const others: RemoteParticipant[] = [...(room?.remoteParticipants.values() ?? [])];
  return others.map((participant) => {
    const [publication] = participant.videoTrackPublications.values();
    return {
      identity: participant.identity,
      name: participant.name || participant.identity,
      stream: publication?.videoTrack?.mediaStream ?? null,
    };
  });
}
