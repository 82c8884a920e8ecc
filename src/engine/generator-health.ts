import { availableParallelism } from 'node:os';
import {
  type ELDHistogram,
  type EventLoopUtilization,
  monitorEventLoopDelay,
  PerformanceObserver,
  performance,
} from 'node:perf_hooks';
import type { Generator } from '../record/measurement.ts';

/** The limits above which the generator, not the target, decides the figure (load-engine.md §5, rule `client`). */
export const generatorLimits = {
  eventLoopDelayMsP99: 10,
  eventLoopUtilisation: 0.85,
  lateRatio: 0.005,
  cpuShare: 0.85,
  gcShare: 0.1,
} as const;

/** An operation that starts later than this after it was due was started late. */
export const lateAfterMs = 5;

/** monitorEventLoopDelay reports the whole gap between its own timer's ticks; this much of it is the timer's period. */
const delayResolutionMs = 2;

export interface GeneratorHealth extends Generator {
  /** Share of time in which the event loop was busy, 0 … 1. */
  readonly eventLoopUtilisation: number;
  /** Share of the cores it may use, 0 … 1. */
  readonly cpuShare: number;
  /** Share of time spent collecting garbage, 0 … 1. */
  readonly gcShare: number;
  readonly reasons: string[];
}

/** Watches the process that makes the load, from `start()` to `stop()`. */
export class GeneratorMonitor {
  readonly #workers: number;
  #delay: ELDHistogram | undefined;
  #observer: PerformanceObserver | undefined;
  #gcMs = 0;
  #cpu = process.cpuUsage();
  #loop: EventLoopUtilization = performance.eventLoopUtilization();
  #startedMs = performance.now();

  constructor(workers = 1) {
    this.#workers = workers;
  }

  start(): this {
    this.#delay = monitorEventLoopDelay({ resolution: delayResolutionMs });
    this.#delay.enable();
    this.#observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) this.#gcMs += entry.duration;
    });
    this.#observer.observe({ entryTypes: ['gc'] });
    this.#cpu = process.cpuUsage();
    this.#loop = performance.eventLoopUtilization();
    this.#startedMs = performance.now();
    return this;
  }

  /** How far behind the event loop has been so far, p99 in ms. */
  get eventLoopDelayMsP99(): number {
    const delay = this.#delay;
    // the histogram is empty until the timer has ticked twice
    if (!delay || delay.count === 0) return 0;
    return Math.max(0, delay.percentile(99) / 1e6 - delayResolutionMs);
  }

  /**
   * Ends the watch and judges it.
   * @param starts.late operations started more than `lateAfterMs` after they were due, of all `started`
   * @param more further reasons the run itself knows of
   */
  stop(
    starts: { late: number; started: number; lateAfterMs: number },
    more: readonly string[] = [],
  ): GeneratorHealth {
    const { late, started } = starts;
    const elapsedMs = Math.max(1, performance.now() - this.#startedMs);
    const cpu = process.cpuUsage(this.#cpu);
    const cpuSeconds = (cpu.user + cpu.system) / 1e6;
    const cores = Math.min(this.#workers, availableParallelism());
    const figures = {
      eventLoopDelayMsP99: this.eventLoopDelayMsP99,
      eventLoopUtilisation: performance.eventLoopUtilization(this.#loop).utilization,
      lateRatio: started === 0 ? 0 : late / started,
      cpuShare: (cpuSeconds * 1000) / elapsedMs / cores,
      gcShare: this.#gcMs / elapsedMs,
    };
    this.#delay?.disable();
    this.#observer?.disconnect();
    const reasons = [...judge(figures, starts), ...more];
    return { workers: this.#workers, cpuSeconds, ...figures, healthy: reasons.length === 0, reasons };
  }
}

function judge(
  figures: Record<keyof typeof generatorLimits, number>,
  { late, started, lateAfterMs: lateMs }: { late: number; started: number; lateAfterMs: number },
): string[] {
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
  const reasons: string[] = [];
  const over = (key: keyof typeof generatorLimits) => figures[key] > generatorLimits[key];
  if (over('eventLoopDelayMsP99')) {
    reasons.push(
      `event loop delay p99 ${figures.eventLoopDelayMsP99.toFixed(1)} ms > ${generatorLimits.eventLoopDelayMsP99} ms`,
    );
  }
  if (over('eventLoopUtilisation')) {
    reasons.push(`event loop busy ${percent(figures.eventLoopUtilisation)} > 85 %`);
  }
  // A few operations show no share: it is over the limit when more were late than chance gives at the limit
  // (mean and two standard deviations of a Poisson count; of 200 operations that is 3).
  const atLimit = generatorLimits.lateRatio * started;
  if (late > atLimit + 2 * Math.sqrt(atLimit)) {
    reasons.push(`${percent(figures.lateRatio)} of operations started > ${lateMs} ms late (limit 0.5 %)`);
  }
  if (over('cpuShare')) reasons.push(`CPU ${percent(figures.cpuShare)} of its cores > 85 %`);
  if (over('gcShare')) reasons.push(`garbage collection ${percent(figures.gcShare)} of the time > 10 %`);
  return reasons;
}
