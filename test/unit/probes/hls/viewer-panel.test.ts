import { expect, test } from 'vitest';
import { ViewerPanel } from '../../../../src/probes/hls/viewer-panel.ts';

test('startup is no stall; a segment that comes late is, for exactly as long as it was late', () => {
  const panel = new ViewerPanel(3);
  // viewer 0: six seconds buffered at t = 10 s, and the next segments in time
  for (const at of [10_000, 10_000, 10_000, 12_000, 14_000]) panel.buffer(0, 2, at);
  // viewer 1: two seconds buffered at 10 s, the next two only at 15 s: 3 s stalled
  panel.buffer(1, 2, 10_000);
  panel.buffer(1, 2, 15_000);
  // viewer 2 never got a segment
  expect(panel.finish(16_000)).toEqual({ rebufferRatio: 3000 / 12_000, stalledViewers: 1, stalls: 1 });
  expect(new ViewerPanel(1).finish(1)).toEqual({ rebufferRatio: null, stalledViewers: 0, stalls: 0 });
});

test('the end of the run counts a stall that is still going on', () => {
  const panel = new ViewerPanel(1);
  panel.buffer(0, 2, 1000);
  expect(panel.finish(5000)).toEqual({ rebufferRatio: 0.5, stalledViewers: 1, stalls: 1 });
});
