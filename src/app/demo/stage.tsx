import type { SupabaseClient } from '@supabase/supabase-js';
import { useEffect, useRef, useState } from 'react';
import { joinStage, type StageView } from './stage-room.ts';

const words: Readonly<Record<StageView['state'], string>> = {
  joining: 'Joining the room …',
  joined: 'In the room.',
  left: 'Out of the room.',
  failed: 'Could not join the room:',
};

/** The LiveKit room, for as long as it is mounted: unmounting it leaves the room. */
export function Stage(props: {
  readonly supabase: SupabaseClient;
  readonly streamId: string;
  readonly userId: string;
  readonly canPublish: boolean;
}) {
  const { supabase, streamId, userId, canPublish } = props;
  const picture = useRef<HTMLCanvasElement>(null);
  const [view, setView] = useState<StageView>({ state: 'joining', detail: null, others: [] });
  useEffect(() => {
    const canvas = picture.current;
    if (canvas === null) return;
    const leave = joinStage({
      supabase,
      streamId,
      onView: setView,
      ...(canPublish ? { picture: canvas, label: userId.slice(0, 8) } : {}),
    });
    return leave;
  }, [supabase, streamId, userId, canPublish]);
  return (
    <div className="stage" data-testid="stage" data-state={view.state}>
      <p role="status">
        {words[view.state]} {view.detail}
      </p>
      <div className="tiles">
        <figure hidden={!canPublish}>
          <canvas ref={picture} width={320} height={180} aria-label="Your test picture" role="img" />
          <figcaption>You</figcaption>
        </figure>
        {view.others.map(({ identity, name, stream }) => (
          <figure key={identity}>
            <RemotePicture stream={stream} />
            <figcaption>{name}</figcaption>
          </figure>
        ))}
      </div>
    </div>
  );
}

function RemotePicture(props: { readonly stream: MediaStream | null }) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (video.current !== null) video.current.srcObject = props.stream;
  }, [props.stream]);
  return <video ref={video} muted playsInline autoPlay />;
}
