/** What the runner counts over all its sessions, those that are over included: a counter never falls. */
import { METRICS } from '../../../shared/metrics.ts';

interface SessionCounts {
  readonly batchesAcked: number;
  readonly terminalBytes: number;
}

export class RunnerCounters {
  framesIn = 0;
  framesOut = 0;
  dial = 0;
  ups = 0;
  #endedBatches = 0;
  #endedBytes = 0;

  ended({ batchesAcked, terminalBytes }: SessionCounts): void {
    this.#endedBatches += batchesAcked;
    this.#endedBytes += terminalBytes;
  }

  /** Names as Prometheus takes them. */
  all(
    live: readonly SessionCounts[],
    served: number,
    line: { readonly waitingBytes: number; readonly dropped: number },
  ) {
    const sum = (count: (session: SessionCounts) => number): number =>
      live.reduce((total, session) => total + count(session), 0);
    return {
      frames_in_total: this.framesIn,
      frames_out_total: this.framesOut,
      dials_total: this.dial,
      reconnects_total: this.#reconnects,
      sessions_live: live.length,
      sessions_served_total: served,
      batches_acked_total: this.#endedBatches + sum(({ batchesAcked }) => batchesAcked),
      terminal_bytes_total: this.#endedBytes + sum(({ terminalBytes }) => terminalBytes),
      line_waiting_bytes: line.waitingBytes,
      line_dropped_total: line.dropped,
    };
  }

  /** The metrics of one session, as they are logged. */
  metricsOf({ batchesAcked, terminalBytes }: SessionCounts): Record<string, number> {
    return {
      [METRICS.runnerBatchesAcked.name]: batchesAcked,
      [METRICS.runnerTerminalBytes.name]: terminalBytes,
      [METRICS.runnerReconnects.name]: this.#reconnects,
    };
  }

  get #reconnects(): number {
    return Math.max(0, this.ups - 1);
  }
}
