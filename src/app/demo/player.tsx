import { useEffect, useRef, useState } from 'react';

/** The first try after the stream stopped; each further one waits twice as long, until something plays. */
const retryFirstMs = 1_000;
/** A stream that comes back is seen to within this. */
const retryMaxMs = 10_000;

/** The HLS stream: by hls.js, or by the browser itself where hls.js cannot. */
export function Player(props: { readonly url: string | null }) {
  const { url } = props;
  const video = useRef<HTMLVideoElement>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  useEffect(() => {
    const element = video.current;
    if (url === null || element === null) return;
    setTrouble(null);
    let isOver = false;
    let end = () => {};
    attach(element, url, setTrouble).then((detach) => {
      if (isOver) detach();
      else end = detach;
    }, report(setTrouble));
    return () => {
      isOver = true;
      end();
    };
  }, [url]);
  return (
    <section className="player" aria-label="Live stream">
      <video ref={video} controls muted playsInline autoPlay />
      {url === null && <p className="overlay">Waiting for the stream …</p>}
      {trouble !== null && (
        <p className="overlay" role="status">
          {trouble}
        </p>
      )}
    </section>
  );
}

/** @returns lets go of the element */
async function attach(
  element: HTMLVideoElement,
  url: string,
  onTrouble: (text: string | null) => void,
): Promise<() => void> {
  const { default: Hls } = await import('hls.js');
  if (!Hls.isSupported()) {
    // a phone without Media Source Extensions plays HLS by itself; newer Chromiums do too, but not as well
    if (element.canPlayType('application/vnd.apple.mpegurl') === '')
      throw new Error('this browser cannot play HLS');
    element.src = url;
    return () => element.removeAttribute('src');
  }
  // without a worker, because a worker from a blob needs a hole in the Content-Security-Policy
  const hls = new Hls({ enableWorker: false, liveDurationInfinity: true });
  let retries = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  hls.on(Hls.Events.ERROR, (_event, { fatal, type, details }) => {
    if (!fatal) return;
    const waitMs = Math.min(retryFirstMs * 2 ** retries, retryMaxMs);
    onTrouble(`The stream stopped (${details}); trying again in ${waitMs / 1000} s …`);
    retries += 1;
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (type === Hls.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
      else hls.loadSource(url);
    }, waitMs);
  });
  hls.on(Hls.Events.FRAG_BUFFERED, () => {
    retries = 0;
    onTrouble(null);
  });
  hls.loadSource(url);
  hls.attachMedia(element);
  return () => {
    clearTimeout(timer);
    hls.destroy();
  };
}

function report(onTrouble: (text: string) => void): (error: unknown) => void {
  return (error) => onTrouble(error instanceof Error ? error.message : String(error));
}
