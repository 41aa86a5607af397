/** Ends a session by itself: when all is done, when nothing happens for too long, when it has run for too long. */
import type { Clock } from '../../../shared/clock.ts';
import type { SessionConfig } from '../../../shared/session.ts';
import { decideDone, decideTime, type Progress } from './done-rule.ts';

export interface SavedProgress {
  readonly prompts: number;
  readonly turnsDone: number;
  readonly isWorking: boolean;
}

export interface LifetimeOptions {
  readonly clock: Clock;
  readonly session: Pick<SessionConfig, 'maxDurationMs' | 'idleMs' | 'endWhenDone'>;
  /** How long the session has run before this process. */
  readonly ranMs: number;
  /** What it had come to before a crash of the runner. */
  readonly from?: SavedProgress;
  readonly isScriptPlayed: () => boolean | null;
  readonly isLed: () => boolean;
  readonly onDone: () => void;
  readonly onWarn: (why: 'idle' | 'max_duration', leftMs: number) => void;
  readonly onStop: (why: 'idle' | 'max_duration') => void;
}

const LOOK_MAX_MS = 60_000;

export class Lifetime {
  readonly #options: LifetimeOptions;
  readonly #startedMs: number;
  readonly #warned = new Set<'idle' | 'max_duration'>();
  #lastActivityMs: number;
  #lastProgressMs: number;
  #prompts: number;
  #turnsDone: number;
  #isWorking: boolean;
  #silenceCounts = true;
  #isStopped = false;
  #cancelTime: () => void = () => {};
  #cancelDone: () => void = () => {};

  constructor(options: LifetimeOptions) {
    this.#options = options;
    const nowMs = options.clock.monotonicMs();
    this.#startedMs = nowMs - options.ranMs;
    this.#lastActivityMs = nowMs;
    this.#lastProgressMs = nowMs;
    this.#prompts = options.from?.prompts ?? 0;
    this.#turnsDone = options.from?.turnsDone ?? 0;
    this.#isWorking = options.from?.isWorking ?? false;
    this.#lookAtTime();
  }

  saved(): SavedProgress {
    return { prompts: this.#prompts, turnsDone: this.#turnsDone, isWorking: this.#isWorking };
  }

  /** Goes on from what an earlier epoch of the session had come to. */
  restore({ prompts, turnsDone, isWorking }: SavedProgress): void {
    this.#prompts = prompts;
    this.#turnsDone = turnsDone;
    this.#isWorking = isWorking;
  }

  /** While a session waits for a person to be parked, its silence is no idleness. */
  setSilenceCounts(counts: boolean): void {
    this.#silenceCounts = counts;
    this.active();
    if (!this.#isStopped) this.#lookAtTime();
  }

  /** The CLI is in a turn. */
  get isWorking(): boolean {
    return this.#isWorking;
  }

  /** Since the last output, input or event. */
  get quietMs(): number {
    return this.#options.clock.monotonicMs() - this.#lastActivityMs;
  }

  /** Output, input, events: the session is not idle. */
  active(): void {
    this.#lastActivityMs = this.#options.clock.monotonicMs();
    this.#warned.delete('idle');
  }

  /** A prompt is on its way to the CLI. */
  prompted(): void {
    this.#prompts += 1;
    this.#progressed();
  }

  /** The CLI did not take it: it will bring no turn. */
  promptRefused(): void {
    this.#prompts -= 1;
    this.#progressed();
  }

  turnStarted(): void {
    this.#isWorking = true;
    this.#progressed();
  }

  turnFinished(): void {
    this.#isWorking = false;
    this.#turnsDone += 1;
    this.#progressed();
  }

  /** Something happened that shows that it is not over yet, or who leads has changed. */
  progressed(): void {
    this.#progressed();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTime();
    this.#cancelDone();
  }

  #progressed(): void {
    this.active();
    this.#lastProgressMs = this.#lastActivityMs;
    this.#lookAtDone();
  }

  #progress(): Progress {
    const { session, isScriptPlayed, isLed } = this.#options;
    return {
      endWhenDone: session.endWhenDone,
      prompts: this.#prompts,
      turnsDone: this.#turnsDone,
      isWorking: this.#isWorking,
      isScriptPlayed: isScriptPlayed(),
      isLed: isLed(),
      lastActivityMs: this.#lastProgressMs,
    };
  }

  #lookAtDone(): void {
    this.#cancelDone();
    const { clock, onDone } = this.#options;
    const decision = decideDone(this.#progress(), clock.monotonicMs());
    if (decision.kind === 'done') onDone();
    else if (decision.kind === 'wait')
      this.#cancelDone = clock.after(Math.max(1, decision.atMs - clock.monotonicMs()), () => this.#lookAtDone());
  }

  #lookAtTime(): void {
    this.#cancelTime();
    const { clock, session, onWarn, onStop } = this.#options;
    const nowMs = clock.monotonicMs();
    const { maxDurationMs } = session;
    const idleMs = this.#silenceCounts ? session.idleMs : Number.POSITIVE_INFINITY;
    const bounds = { startedMs: this.#startedMs, lastActivityMs: this.#lastActivityMs, maxDurationMs, idleMs };
    const decision = decideTime({ ...bounds, warned: this.#warned }, nowMs);
    if (decision.kind === 'stop') {
      onStop(decision.why);
      return;
    }
    if (decision.kind === 'warn') {
      this.#warned.add(decision.why);
      onWarn(decision.why, decision.atMs - nowMs);
    }
    const waitMs = Math.min(LOOK_MAX_MS, Math.max(1, decision.atMs - nowMs));
    this.#cancelTime = clock.after(waitMs, () => this.#lookAtTime());
  }
}
