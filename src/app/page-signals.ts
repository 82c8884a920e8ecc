/** What of a page is used here. In Node, where pages are rendered on a server, none of it is there. */
interface PageLike {
  readonly addEventListener?: (name: string, listener: () => void) => void;
  readonly removeEventListener?: (name: string, listener: () => void) => void;
  readonly document?: EventTarget & { readonly visibilityState: string };
}

/**
 * Calls back when the page may have slept through something: the network is there again, the tab is shown again,
 * the page comes back from the back/forward cache. Timers and sockets say so much later, or never.
 * @returns ends it
 */
export function onPageAwake(callback: () => void): () => void {
  // every member is optional, so whatever the global object is, it fits
  const page = globalThis as PageLike;
  const { document } = page;
  const onVisible = () => {
    if (document?.visibilityState === 'visible') callback();
  };
  page.addEventListener?.('online', callback);
  page.addEventListener?.('pageshow', callback);
  document?.addEventListener('visibilitychange', onVisible);
  return () => {
    page.removeEventListener?.('online', callback);
    page.removeEventListener?.('pageshow', callback);
    document?.removeEventListener('visibilitychange', onVisible);
  };
}
