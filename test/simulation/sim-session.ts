/**
 * A session on a simulated runner: the real core (events, journal, lease, counters, states, uploads) and the real people, with a scripted
 * CLI in place of a program. What the runner's composition does with them around a CLI is followed here step by step.
 */
import { converge } from '../../runner-image/src/session/convergence.ts';
import {
  isLeaving,
  isOverElsewhere,
  type Leaving,
  STOPPED,
  savedEnding,
} from '../../runner-image/src/session/leaving.ts';
import { People } from '../../runner-image/src/session/people.ts';
import type { SavedSession } from '../../runner-image/src/session/saved-session.ts';
import { type CoreOptions, SessionCore } from '../../runner-image/src/session/session-core.ts';
import type { Ending } from '../../runner-image/src/session/session-runtime.ts';
import { Typing } from '../../runner-image/src/session/typing.ts';
import type { EventDraft } from '../../shared/events.ts';
import type { Assign, ControlToRunnerFrame, FrameOf, RunnerFrame } from '../../shared/frames.ts';
import { END_LAST_ACK_MS, END_STORE_MS, RESTARTED_LAST_ACK_MS, STOP_GRACE_MS } from '../../shared/limits.ts';
import type { Chance } from './chance.ts';
import type { Faults } from './faults.ts';
import { boot, takeUp } from './sim-cli-life.ts';
import type { SimPlace } from './sim-place.ts';
import { SimStorage } from './sim-storage.ts';

export interface SimSessionOptions {
  readonly assign: Omit<Assign, 'type' | 'checkpoint'>;
  readonly saved: SavedSession | null;
  readonly ports: CoreOptions['ports'];
  readonly chance: Chance;
  readonly faults: Faults;
  readonly place: SimPlace;
  /** Nothing of the session is left to do here. */
  readonly onEnded: () => void;
}

type Welcomed = FrameOf<ControlToRunnerFrame, 'welcome'>['sessions'][number];

const CORE_CONFIG = { RUNNER_VERSION: '0.1.0', USAGE_TICK_INTERVAL_MS: 30_000, VILLAGE_TASK_DEFINITION: '' };
const DRAIN_MS = 23_000;

export class SimSession {
  readonly core: SessionCore;
  readonly storage: SimStorage;
  readonly options: SimSessionOptions;
  readonly #people: People;
  readonly #typing: Typing;
  #isWatched = false;
  #isWelcome = false;
  #isFollowing = false;
  #mustFollow = false;
  #ending: Promise<void> | null = null;
  #plannedEnd: Ending | Leaving | null = null;
  #isAborted = false;
  #isUnwanted = false;
  #isDisposed = false;
  #parkAtMs = Number.POSITIVE_INFINITY;
  #activeAtMs: number;

  constructor(options: SimSessionOptions) {
    const { assign, saved, ports, place } = options;
    const { sessionId, epoch, capability } = assign;
    const { clock, log } = ports;
    this.options = options;
    this.#activeAtMs = clock.monotonicMs();
    this.core = new SessionCore({
      ...{ assign, ports, saved, config: CORE_CONFIG },
      headOffset: () => place.offset,
      onAbort: (why) => this.abort(why),
      parts: () => ({
        ...savedEnding(this.#plannedEnd),
        ...{ prompts: [], nextPrompt: 1, isPromptDone: true, checkpointKey: this.storage.checkpointKey },
        ...{ ...this.#typing.saved(), typedInTerm: this.#people.typedInTerm, agent: null },
        progress: { prompts: 0, turnsDone: 0, isWorking: false },
      }),
    });
    this.#plannedEnd = saved?.ending ?? saved?.leaving ?? null;
    this.#typing = new Typing({
      ...{ sessionId, epoch, capability, clock, log },
      lanes: saved?.lanes ?? [],
      apiInputs: saved?.apiInputs ?? [],
      send: (frame) => void ports.send(frame),
      record: (draft) => this.record(draft),
      save: () => this.core.save(),
      onTyped: () => {},
    });
    this.#people = new People({
      typing: this.#typing,
      typedInTerm: saved?.typedInTerm ?? null,
      onWatched: (isWatched) => {
        this.#isWatched = isWatched;
        this.core.events.setWatched(isWatched);
      },
      onSize: () => {},
    });
    const record = (draft: EventDraft) => this.record(draft);
    this.storage = new SimStorage({ core: this.core, clock, offset: () => place.offset, record });
    this.core.begin();
  }

  get isWatched(): boolean {
    return this.#isWatched;
  }

  /** A welcome on the line that is up named it. */
  get isWelcome(): boolean {
    return this.#isWelcome;
  }

  /** Nobody takes what it could not deliver. */
  get isUnwanted(): boolean {
    return this.#isUnwanted || (this.#isAborted && this.core.events.isBroken);
  }

  /** Since something happened. */
  get quietMs(): number {
    return this.options.ports.clock.monotonicMs() - this.#activeAtMs;
  }

  get isEnding(): boolean {
    return this.#ending !== null;
  }

  hello(): FrameOf<RunnerFrame, 'hello'>['sessions'][number] {
    const { sessionId, epoch } = this.core.assign;
    const { viewersRev } = this.#people;
    const { nextRseq } = this.core.events;
    const { rev: desiredRev } = this.core.desired;
    const lost = this.core.isJournalLost ? { journalLost: true } : {};
    return { sessionId, epoch, nextRseq, head: this.options.place.offset, desiredRev, viewersRev, ...lost };
  }

  begin(): Promise<void> {
    const { saved } = this.options;
    return saved === null ? boot(this) : takeUp(this, saved);
  }

  onUp(): void {
    this.#isWelcome = false;
  }

  onFrame(frame: ControlToRunnerFrame): void {
    const { sessionId, epoch } = this.core.assign;
    if (frame.type === 'welcome') {
      const mine = frame.sessions.find((entry) => entry.sessionId === sessionId && entry.epoch === epoch);
      if (mine === undefined) this.abort('unknown_session');
      else this.#onWelcome(mine);
      return;
    }
    if (!('epoch' in frame) || frame.sessionId !== sessionId || frame.epoch !== epoch) return;
    if (frame.type === 'ack') {
      this.core.uploads.onGrants(frame.grants);
      this.core.events.onAck(frame);
    } else if (frame.type === 'nack') this.core.events.onNack(frame);
    else if (frame.type === 'desired') {
      this.core.ask(frame);
      this.follow();
    } else if (frame.type !== 'approval_decision' && frame.type !== 'assign') this.#people.onFrame(frame);
  }

  record(draft: EventDraft): void {
    this.#activeAtMs = this.options.ports.clock.monotonicMs();
    if (!this.#isDisposed) this.core.record(draft);
  }

  abort(why: string): void {
    const { core } = this;
    if (why === 'lease_lost' && core.isOver) return;
    if (!this.#isAborted && !core.isOver) core.uploads.close(why);
    this.#isAborted = true;
    this.#isUnwanted ||= !isOverElsewhere(why) && why !== 'lease_lost';
    if (isOverElsewhere(why)) core.events.becomeLate();
    else core.events.giveUp();
    void this.end({ to: 'failed', reason: { code: why, message: 'This life of the session is over.' } });
  }

  /** The machine is told to go away: the session goes on elsewhere, unless it was to stop. */
  drain(): void {
    if (this.isEnding) return;
    this.record({ type: 'runner_draining', why: 'the task was asked to stop' });
    const isAskedToStop = this.core.desired.desired === 'stop' || this.core.state === 'stopping';
    if (isAskedToStop) this.#stop(DRAIN_MS);
    else void this.end({ to: 'drained', why: 'the runner was asked to stop' }, DRAIN_MS);
  }

  /** Ends once: the session, or its epoch alone. */
  end(ending: Ending | Leaving, drainMs: number | null = null): Promise<void> {
    if (this.#ending === null) {
      this.#plannedEnd = ending;
      this.core.save();
      this.#ending = this.#endOnce(ending, drainMs);
    }
    return this.#ending;
  }

  /** Of a process before this one, which had ended the session. */
  deliverRest(): void {
    const deliver = async (): Promise<void> => {
      this.options.place.killCli();
      await this.#dispose(RESTARTED_LAST_ACK_MS);
    };
    this.#ending ??= deliver();
  }

  /** Whoever waits for a person for too long gives the runner back. */
  parkWhenDue(): void {
    const { ports, assign } = this.options;
    const nowMs = ports.clock.monotonicMs();
    if (this.core.state !== 'paused_by_human') this.#parkAtMs = nowMs + assign.config.parkAfterMs;
    if (nowMs >= this.#parkAtMs) void this.#park();
  }

  follow(): void {
    this.#mustFollow = true;
    if (this.#isFollowing) return;
    this.#isFollowing = true;
    void this.#followAll();
  }

  #onWelcome(mine: Welcomed): void {
    this.#isWelcome = true;
    if (!mine.open) this.abort('closed');
    this.core.events.onWelcome(mine.ackedRseq);
    if (!mine.open) return;
    this.core.uploads.onGrants(mine.grants);
    this.core.ask(mine.desired);
    this.#people.setWatchers(mine.watchers);
    this.follow();
  }

  /** What goes on elsewhere needs a checkpoint; without one it stays. */
  async #park(): Promise<void> {
    this.#parkAtMs = Number.POSITIVE_INFINITY;
    await this.storage.checkpoint(END_STORE_MS);
    const { checkpointKey } = this.storage;
    if (checkpointKey !== null && this.core.state === 'paused_by_human') void this.end({ to: 'parked', checkpointKey });
  }

  #lastWord(ending: Ending | Leaving): void {
    const { core } = this;
    if (this.#isAborted) core.close();
    else if (!isLeaving(ending)) this.#finish(ending);
    else if (core.desired.desired === 'stop') this.#finish(STOPPED);
    else if (ending.to === 'parked') core.leave({ type: 'session_parked', checkpointKey: ending.checkpointKey });
    else core.leave({ type: 'epoch_drained', why: ending.why, checkpointKey: this.storage.checkpointKey });
  }

  #finish({ to, reason }: Ending): void {
    const { core } = this;
    if (to === 'failed') core.move({ type: 'FAIL', reason: reason ?? { code: 'failed', message: 'It failed.' } });
    else if (!core.move({ type: 'DONE', reason })) {
      core.move({ type: 'STOP', reason });
      core.move({ type: 'DONE', reason });
    }
  }

  #stop(drainMs: number | null = null): void {
    this.core.move({ type: 'STOP', reason: STOPPED.reason });
    void this.end(STOPPED, drainMs);
  }

  async #endOnce(ending: Ending | Leaving, drainMs: number | null): Promise<void> {
    const { core, storage } = this;
    const { place, chance } = this.options;
    this.#typing.end();
    if (!isLeaving(ending) || !core.freezer.isHeld) await core.freezer.release();
    await place.pause(chance.between(1, this.#isAborted ? 50 : STOP_GRACE_MS / 4));
    place.killCli();
    core.stopMetering();
    const storeMs = drainMs ?? END_STORE_MS;
    if (!this.#isAborted) await storage.chunk(true, storeMs);
    if (!this.#isAborted && ending.to === 'drained') await storage.checkpoint(storeMs);
    core.finalTick();
    if (this.#isAborted) core.close();
    if (!core.isOver) this.record({ type: 'workspace_cleaned', tookMs: 3 });
    const lastAckMs = Math.min(END_LAST_ACK_MS, drainMs ?? END_LAST_ACK_MS);
    core.events.flush();
    await core.events.drained(lastAckMs);
    this.#lastWord(ending);
    await this.#dispose(lastAckMs);
  }

  async #dispose(lastAckMs: number): Promise<void> {
    this.core.events.flush();
    const isDelivered = await this.core.events.drained(lastAckMs);
    this.#isDisposed = true;
    this.core.dispose(isDelivered);
    this.options.onEnded();
  }

  async #followAll(): Promise<void> {
    while (this.#mustFollow) {
      this.#mustFollow = false;
      await this.#converge();
    }
    this.#isFollowing = false;
  }

  async #converge(): Promise<void> {
    const { core } = this;
    for (;;) {
      const action = this.isEnding ? 'none' : converge(core.state, core.desired.desired);
      if (action === 'none') return;
      if (action === 'stop') return this.#stop();
      if (action === 'pause') {
        await core.freezer.set('pause', true);
        if (core.desired.desired === 'pause' && core.move({ type: 'PAUSE' })) continue;
        await core.freezer.set('pause', false);
      } else {
        await core.freezer.set('pause', false);
        if (!core.move({ type: 'RESUME', isWaiting: false })) return;
      }
    }
  }
}
