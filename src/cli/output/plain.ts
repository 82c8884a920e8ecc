import { type OutputStream, Sink } from './sink.ts';

/** Writes text that holds nothing of a run (help), and waits until it is out; a reader that went away is no error. */
export async function writePlain(stream: OutputStream, textFor: (columns: number) => string): Promise<void> {
  const sink = new Sink(stream, () => {});
  sink.write(textFor(sink.columns));
  await sink.flushed();
}
