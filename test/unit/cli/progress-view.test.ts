import { describe, expect, test } from 'vitest';
import { alignColumns } from '../../../src/cli/output/columns.ts';
import { ProgressView } from '../../../src/cli/output/progress-view.ts';
import { Sink } from '../../../src/cli/output/sink.ts';
import { styleOf } from '../../../src/cli/output/style.ts';
import { displayWidth, wrapWords } from '../../../src/kernel/text-width.ts';
import { FakeStream } from './fake-host.ts';

function load(elapsedMs: number, achievedPerS = 50) {
  return {
    kind: 'load' as const,
    probe: 'chat',
    elapsedMs,
    totalMs: 30_000,
    offeredPerS: 50,
    achievedPerS,
    latencyMs: { p50: 1, p95: 2, p99: 3 },
    errors: 0,
  };
}

function view(live: boolean) {
  const stream = new FakeStream(live);
  let nowMs = 0;
  const progress = new ProgressView(new Sink(stream, () => {}), styleOf(false), () => nowMs, live);
  return { stream, progress, at: (ms: number) => (nowMs = ms) };
}

describe('without a terminal', () => {
  test('a line for what changes, and one every 5 s under load', () => {
    const { stream, progress, at } = view(false);
    progress.show({ kind: 'step', text: 'starting' });
    at(2500);
    progress.show({ kind: 'done', text: 'started' });
    for (let second = 1; second <= 12; second++) progress.show(load(second * 1000));
    progress.clear();
    const lines = stream.text.trimEnd().split('\n');
    expect(lines.slice(0, 2)).toEqual(['… starting', '✓ started (2.5s)']);
    expect(lines.slice(2).map((line) => /chat (\S+)\//.exec(line)?.[1])).toEqual(['1s', '6s', '11s']);
    expect(lines[2]).toContain('offered 50/s  achieved 50/s  p50 1.0 p95 2.0 p99 3.0 ms  errors 0');
    expect(stream.text).not.toContain('\u001b');
  });
});

describe('on a terminal', () => {
  test('one block that is taken away at the end; what was said for good stays', () => {
    const { stream, progress } = view(true);
    progress.show({ kind: 'step', text: 'loading' });
    progress.show(load(1000, 10));
    progress.show(load(2000, 80));
    progress.line('a remark');
    progress.clear();
    const screen = screenOf(stream.text);
    expect(screen).toEqual(['a remark']);
    expect(stream.text).toContain('… loading');
  });

  test('the block shows rates, latencies, a sparkline and the time left', async () => {
    const { stream, progress } = view(true);
    progress.show(load(1000, 10));
    progress.show(load(2000, 80));
    // drawn again by its timer, ten times a second
    await expect.poll(() => screenOf(stream.text).join('\n')).toContain('28s left');
    const screen = screenOf(stream.text);
    expect(screen[0]).toContain('achieved 80/s');
    expect(screen[1]).toContain('▂█');
    progress.clear();
    expect(screenOf(stream.text)).toEqual([]);
  });
});

describe('columns', () => {
  test('are aligned by what is seen, not by what is written', () => {
    const { red } = styleOf(true);
    const lines = alignColumns([
      [red('a'), '1'],
      ['漢字', '2'],
      ['✓ ok', '3'],
    ]);
    expect(lines.map((line) => displayWidth(line))).toEqual([7, 7, 7]);
  });

  test('text is broken at spaces', () => {
    expect(wrapWords('one two three four', 9)).toEqual(['one two', 'three', 'four']);
    expect(wrapWords('unbreakable', 4)).toEqual(['unbreakable']);
  });
});

/** What a terminal would show: the few sequences that the view uses, carried out. */
function screenOf(text: string): string[] {
  const esc = String.fromCharCode(27);
  const rows: string[] = [''];
  let row = 0;
  const tokens = text.match(new RegExp(`${esc}\\[(\\d*)([AJ])|\\r|\\n|[^${esc}\\r\\n]+`, 'g')) ?? [];
  for (const token of tokens) {
    if (token === '\n') {
      row += 1;
      rows[row] ??= '';
    } else if (token === '\r') continue;
    else if (token.endsWith('A') && token.startsWith(esc)) row -= Number(token.slice(2, -1));
    else if (token === `${esc}[J`) rows.splice(row, rows.length, '');
    else rows[row] += token;
  }
  return rows.filter((line) => line !== '');
}
