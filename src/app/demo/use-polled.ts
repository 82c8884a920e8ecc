import { useCallback, useEffect, useState } from 'react';

/**
 * What `read` gives, read again every `everyMs`.
 * @param read changes when what it reads does; gives undefined when it could not read, and then the last value stays
 * @returns the value, and a function that reads now
 */
export function usePolled<T>(
  read: () => Promise<T | undefined>,
  everyMs: number,
): readonly [T | undefined, () => void] {
  const [value, setValue] = useState<T | undefined>(undefined);
  const [asked, setAsked] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked is a reason to read, not something that is read
  useEffect(() => {
    let isOver = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const go = async () => {
      const next = await read().catch(() => undefined);
      if (isOver) return;
      if (next !== undefined) setValue(next);
      timer = setTimeout(go, everyMs);
    };
    void go();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [read, everyMs, asked]);
  const readNow = useCallback(() => setAsked((count) => count + 1), []);
  return [value, readNow];
}
