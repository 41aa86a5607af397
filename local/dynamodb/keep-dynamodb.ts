/**
 * Keeps the embedded database running: one that ends by itself is started again on the port its clients know. What was answered as
 * written is on disk; a call that was cut off fails, and is tried again by whoever made it.
 */
import { type Clock, systemClock } from '../../shared/clock.ts';
import { type DynamodbOptions, type RunningDynamodb, startDynamodb } from './dynoxide.ts';

/** Ends within RESTART_WINDOW_MS that are mended; one more is a database that cannot run. */
const RESTARTS_MAX = 5;
const RESTART_WINDOW_MS = 60_000;

export interface KeepOptions extends Omit<DynamodbOptions, 'pickPort'> {
  /** One line for a person. */
  readonly warn: (line: string) => void;
  /** Told once, when it has ended for good. */
  readonly onLost: (why: string) => void;
}

export interface KeptDynamodb {
  readonly endpoint: string;
  stop(): Promise<void>;
}

export type KeptStart =
  | { readonly ok: true; readonly dynamodb: KeptDynamodb }
  | { readonly ok: false; readonly message: string };

class Keeper implements KeptDynamodb {
  readonly endpoint: string;
  readonly #options: KeepOptions;
  readonly #clock: Clock;
  readonly #port: number;
  #running: RunningDynamodb;
  #endedAtMs: number[] = [];
  #isStopping = false;
  #restarting: Promise<void> = Promise.resolve();

  constructor(options: KeepOptions, first: RunningDynamodb) {
    this.endpoint = first.endpoint;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#port = first.port;
    this.#running = first;
    this.#watch();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    // One that is starting at this moment is stopped too.
    await this.#restarting;
    await this.#running.stop();
  }

  #watch(): void {
    void this.#running.exited.then(() => {
      if (!this.#isStopping) this.#restarting = this.#restart();
    });
  }

  async #restart(): Promise<void> {
    const { warn, onLost, ...options } = this.#options;
    const nowMs = this.#clock.monotonicMs();
    this.#endedAtMs = [...this.#endedAtMs.filter((atMs) => nowMs - atMs < RESTART_WINDOW_MS), nowMs];
    if (this.#endedAtMs.length > RESTARTS_MAX) {
      onLost(`the embedded DynamoDB ended ${this.#endedAtMs.length} times within a minute`);
      return;
    }
    const started = await startDynamodb({ ...options, pickPort: async () => this.#port });
    if (!started.ok) {
      onLost(`the embedded DynamoDB ended and did not start again (${started.message})`);
      return;
    }
    this.#running = started.dynamodb;
    warn('the embedded DynamoDB ended and was started again; its data is kept');
    this.#watch();
  }
}

/** Resolves when it answers. `message` is one line that says what to do. */
export const keepDynamodb = async (options: KeepOptions): Promise<KeptStart> => {
  const { warn: _warn, onLost: _onLost, ...rest } = options;
  const started = await startDynamodb(rest);
  return started.ok ? { ok: true, dynamodb: new Keeper(options, started.dynamodb) } : started;
};
