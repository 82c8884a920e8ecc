/**
 * Calls a callback of the app's. What it throws is reported as any uncaught error of the page is, after whatever is
 * under way here: a broken callback must neither keep the next one from being told nor stop what tells them.
 */
export function callApp<T>(callback: ((told: T) => void) | undefined, told: T): void {
  try {
    callback?.(told);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
