import { formatDuration } from '../../kernel/duration.ts';
import type { ProgressEvent } from '../../kernel/log.ts';
import { displayWidth, withoutColours } from '../../kernel/text-width.ts';
import type { Style } from '../command.ts';
import type { Sink } from './sink.ts';
import { sparkline } from './sparkline.ts';

type LoadEvent = Extract<ProgressEvent, { kind: 'load' }>;

// Without a terminal: often enough to see that it lives, seldom enough for a CI log (cli.md).
const plainEveryMs = 5_000;
// A terminal: faster than the eye can read is only flicker.
const redrawEveryMs = 100;
// The sparkline shows this many seconds.
const sparkWidth = 40;

/**
 * Progress on stderr: on a terminal one live block that is drawn over itself, elsewhere a line when something
 * changes and every 5 s under load.
 */
export class ProgressView {
  readonly #sink: Sink;
  readonly #style: Style;
  readonly #nowMs: () => number;
  readonly #live: boolean;
  readonly #achieved = new Map<string, number[]>();
  readonly #lastPlainMs = new Map<string, number>();
  #step: { text: string; sinceMs: number } | undefined;
  #load: LoadEvent | undefined;
  #drawnLines = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(sink: Sink, style: Style, nowMs: () => number, live: boolean) {
    this.#sink = sink;
    this.#style = style;
    this.#nowMs = nowMs;
    this.#live = live;
  }

  show(event: ProgressEvent): void {
    switch (event.kind) {
      case 'step':
        this.#step = { text: event.text, sinceMs: this.#nowMs() };
        this.#load = undefined;
        if (this.#live) this.#schedule();
        else this.#sink.write(`… ${event.text}\n`);
        break;
      case 'done':
        this.line(`${this.#style.green('✓')} ${event.text}${this.#took()}`);
        break;
      case 'note':
        this.line(`${this.#style.cyan('·')} ${event.text}`);
        break;
      case 'load':
        this.#showLoad(event);
        break;
    }
  }

  /** A line that stays, above the live block. */
  line(text: string): void {
    this.#erase();
    this.#sink.write(`${text}\n`);
    if (this.#live && this.#step) this.#schedule();
  }

  /** Takes the live block away; what stays is what was said for good. */
  clear(): void {
    this.#step = undefined;
    this.#load = undefined;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#erase();
  }

  #took(): string {
    const step = this.#step;
    this.#step = undefined;
    this.#load = undefined;
    if (!step) return '';
    const ms = this.#nowMs() - step.sinceMs;
    return ms >= 1000 ? this.#style.dim(` (${formatDuration(ms)})`) : '';
  }

  #showLoad(event: LoadEvent): void {
    this.#load = event;
    const history = this.#achieved.get(event.probe) ?? [];
    history.push(event.achievedPerS);
    if (history.length > sparkWidth) history.shift();
    this.#achieved.set(event.probe, history);
    if (this.#live) {
      this.#schedule();
      return;
    }
    const last = this.#lastPlainMs.get(event.probe);
    if (last !== undefined && event.elapsedMs >= last && event.elapsedMs - last < plainEveryMs) return;
    this.#lastPlainMs.set(event.probe, event.elapsedMs);
    this.#sink.write(`  ${loadLine(event)}\n`);
  }

  #schedule(): void {
    if (this.#timer) return;
    this.#draw();
    this.#timer = setInterval(() => this.#draw(), redrawEveryMs);
    this.#timer.unref();
  }

  #draw(): void {
    const lines = this.#blockLines();
    if (lines.length === 0) {
      this.#erase();
      return;
    }
    const fitting = lines.map((line) => cutToWidth(line, this.#sink.columns - 1));
    const up = this.#drawnLines > 0 ? `\u001b[${this.#drawnLines}A` : '';
    this.#sink.write(`${up}\r\u001b[J${fitting.join('\n')}\n`);
    this.#drawnLines = fitting.length;
  }

  #blockLines(): string[] {
    const { dim, cyan } = this.#style;
    const lines: string[] = [];
    if (this.#step) {
      const ms = this.#nowMs() - this.#step.sinceMs;
      lines.push(`${cyan('…')} ${this.#step.text} ${dim(formatDuration(Math.floor(ms / 1000) * 1000 || 0))}`);
    }
    const load = this.#load;
    if (load) {
      const left = Math.max(0, load.totalMs - load.elapsedMs);
      lines.push(`  ${loadLine(load)}`);
      const spark = sparkline(this.#achieved.get(load.probe) ?? []);
      lines.push(`  ${cyan(spark)} ${dim(`${formatDuration(Math.ceil(left / 1000) * 1000)} left`)}`);
    }
    return lines;
  }

  #erase(): void {
    if (this.#drawnLines === 0) return;
    this.#sink.write(`\u001b[${this.#drawnLines}A\r\u001b[J`);
    this.#drawnLines = 0;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function loadLine(event: LoadEvent): string {
  const latency = event.latencyMs;
  const parts = [
    `${event.probe} ${formatDuration(Math.round(event.elapsedMs / 1000) * 1000)}/${formatDuration(event.totalMs)}`,
    `offered ${event.offeredPerS.toFixed(0)}/s`,
    `achieved ${event.achievedPerS.toFixed(0)}/s`,
    latency
      ? `p50 ${latency.p50.toFixed(1)} p95 ${latency.p95.toFixed(1)} p99 ${latency.p99.toFixed(1)} ms`
      : 'no sample yet',
    `errors ${event.errors}`,
  ];
  return parts.join('  ');
}

function cutToWidth(line: string, width: number): string {
  if (displayWidth(line) <= width) return line;
  // cutting inside a colour would leave it on: a line that does not fit goes plain
  return `${withoutColours(line).slice(0, Math.max(0, width - 1))}…`;
}
