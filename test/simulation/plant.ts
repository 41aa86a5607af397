/** Where a test may plant a bug: wrappers around the ports of either side. The product has no switch for it. */
import type { Database } from '../../functions/database.ts';
import type { RunnerConnection, RunnerPorts } from '../../functions/runners/handle-runner-frame.ts';
import type { Freezable } from '../../runner-image/src/session/freezer.ts';
import type { Disk } from '../../runner-image/src/transport/disk.ts';
import type { ControlToRunnerFrame, RunnerFrame } from '../../shared/frames.ts';

export type HandleRunnerFrame = (
  ports: RunnerPorts,
  who: RunnerConnection,
  frame: RunnerFrame,
) => Promise<ControlToRunnerFrame | null>;

/** What one runner process sees of its line; remembers what it likes. */
export interface LinePlant {
  fromRunner(text: string): void;
  toRunner(text: string): string;
}

export interface Plant {
  readonly database?: (db: Database) => Database;
  readonly handleRunner?: (handle: HandleRunnerFrame) => HandleRunnerFrame;
  readonly disk?: (disk: Disk) => Disk;
  readonly freezable?: (target: Freezable) => Freezable;
  readonly line?: () => LinePlant;
}
