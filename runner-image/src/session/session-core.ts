/** The durable side of a session: its state, its events, its counters and its lease, whatever the CLI does. */

import { join } from 'node:path';
import type { EventDraft } from '../../../shared/events.ts';
import type { Assign } from '../../../shared/frames.ts';
import type { SessionState, StateReason } from '../../../shared/session.ts';
import { isFinal } from '../../../shared/session.ts';
import type { RunnerConfig } from '../config.ts';
import { UsageTicker } from '../metering/usage-ticker.ts';
import { type Desired, newerDesired } from './convergence.ts';
import { maskedEvent } from './event-masks.ts';
import { EventStream } from './event-stream.ts';
import { type FreezeReason, Freezer } from './freezer.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { type MachineEvent, nextState } from './machine.ts';
import type { RuntimePorts } from './ports.ts';
import { type SavedSession, saveSession } from './saved-session.ts';
import type { TranscriptPlace } from './transcript-store.ts';
import { Uploads } from './uploads.ts';

export interface CoreOptions {
  readonly assign: Omit<Assign, 'type' | 'checkpoint'>;
  readonly ports: Pick<RuntimePorts, 'clock' | 'bootMs' | 'log' | 'disk' | 'stateDir' | 'send' | 'put' | 'onTick'>;
  readonly config: Pick<RunnerConfig, 'RUNNER_VERSION' | 'USAGE_TICK_INTERVAL_MS' | 'VILLAGE_TASK_DEFINITION'>;
  readonly saved: SavedSession | null;
  /** Offset after the last byte of the terminal stream. */
  readonly headOffset: () => number;
  /** The epoch or the lease is lost for good: everything must be killed at once. */
  readonly onAbort: (why: string) => void;
}

const DETAILS_OF_FREEZE: Readonly<Record<Exclude<FreezeReason, 'pause'>, string>> = {
  lease_lost: 'the control plane has not answered for the length of the lease',
  journal_full: 'too many events wait to be taken by the control plane',
  stream_broken: 'control plane and runner disagree about the events',
};

export class SessionCore {
  readonly assign: CoreOptions['assign'];
  readonly events: EventStream;
  readonly uploads: Uploads;
  readonly freezer: Freezer;
  readonly #options: CoreOptions;
  readonly #lease: LeaseKeeper;
  readonly #usage: UsageTicker;
  #state: SessionState;
  #desired: Desired;
  #baseCommit: string;
  #transcript: TranscriptPlace;
  #startedAtMs: number;
  #isOver = false;
  #secrets: readonly string[];

  constructor(options: CoreOptions) {
    const { assign, ports, saved, config } = options;
    const { clock, log, bootMs } = ports;
    const { sessionId, epoch } = assign;
    const { tenantId } = assign.config;
    this.#options = options;
    this.assign = assign;
    this.#secrets = [assign.capability];
    this.#state = saved?.state ?? 'created';
    this.#desired = saved?.desired ?? { desired: 'run', rev: 0 };
    this.#baseCommit = saved?.baseCommit ?? '';
    this.#transcript = saved?.transcript ?? { nextNumber: 0, storedOffset: 0 };
    this.#startedAtMs = saved?.startedAtMs ?? clock.nowMs();
    this.#isOver = saved?.isOver ?? false;
    this.#usage = new UsageTicker({
      clock,
      intervalMs: config.USAGE_TICK_INTERVAL_MS,
      runnerBuild: config.RUNNER_VERSION,
      taskDefinition: assign.taskDefinition || config.VILLAGE_TASK_DEFINITION,
      restored: saved,
      headOffset: options.headOffset,
      record: (draft) => this.record(draft),
      onTick: () => {
        // The tick is the heartbeat: it leaves now, with whatever lingers.
        this.events.flush(true);
        this.save();
        ports.onTick();
      },
    });
    this.freezer = new Freezer(clock, log);
    this.events = new EventStream({
      identity: { sessionId, tenantId, epoch },
      capability: assign.capability,
      journalPath: join(ports.stateDir, 'journal'),
      disk: ports.disk,
      clock,
      bootMs,
      log,
      send: ports.send,
      offset: options.headOffset,
      onProven: (sentAtMs) => this.#lease.prove(sentAtMs),
      onOver: (reason) => options.onAbort(reason),
      onBroken: (why) => {
        log.error('the event stream is broken', { why });
        void this.freezer.set('stream_broken', true);
      },
      onFull: (isFull) => this.#hold('journal_full', isFull),
    });
    this.uploads = new Uploads({
      clock,
      log,
      put: ports.put,
      wish: (wish, isUrgent) => this.events.wish(wish, isUrgent),
    });
    this.#lease = new LeaseKeeper({
      clock,
      bootMs,
      onLost: () => this.#hold('lease_lost', true),
      onHeld: () => this.#hold('lease_lost', false),
      onKill: () => options.onAbort('lease_lost'),
    });
    this.#usage.enter(this.#state, false);
    this.#usage.start();
    this.save();
  }

  get state(): SessionState {
    return this.#state;
  }

  get desired(): Desired {
    return this.#desired;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get baseCommit(): string {
    return this.#baseCommit;
  }

  get transcript(): TranscriptPlace {
    return this.#transcript;
  }

  get ranMs(): number {
    return Math.max(0, this.#options.ports.clock.nowMs() - this.#startedAtMs);
  }

  /** Nothing follows the final state: what comes later is logged only. */
  record(draft: EventDraft): void {
    if (this.#isOver) this.#options.ports.log.warn('an event came after the end', { type: draft.type });
    else this.#log(draft);
  }

  /** From here on no event shows one of these. */
  hide(secrets: readonly string[]): void {
    this.#secrets = secrets;
  }

  /** @returns whether that changed anything */
  ask(told: Desired): boolean {
    const before = this.#desired;
    this.#desired = newerDesired(before, told);
    return this.#desired.desired !== before.desired;
  }

  /** @returns false when the state does not allow it (any more) */
  move(event: MachineEvent): boolean {
    const fromState = this.#state;
    const toState = nextState(fromState, event);
    if (toState === null) return false;
    if (!isFinal(toState)) this.#usage.tickIfChanged();
    this.#state = toState;
    this.#enter();
    const reason: StateReason | null = 'reason' in event ? event.reason : null;
    const changed: EventDraft = { type: 'session_state_changed', fromState, toState, reason };
    this.#isOver = isFinal(toState);
    // One batch: the control plane closes the epoch with the final state, and takes nothing after it.
    if (this.#isOver) this.#log(changed, this.#endedEvent(toState, reason));
    else this.record(changed);
    this.save();
    return true;
  }

  /** From here on no agent time passes, whatever the state still is. */
  stopMetering(): void {
    this.#usage.enter('stopping', false);
  }

  finalTick(): void {
    this.#usage.finish();
  }

  countCommand(): void {
    this.#usage.meter.command();
  }

  countTouched(paths: readonly string[]): void {
    this.#usage.meter.touched(paths);
  }

  setCliVersion(version: string): void {
    this.#usage.setCliVersion(version);
  }

  setBaseCommit(commit: string): void {
    this.#baseCommit = commit;
    this.save();
  }

  setTranscript(place: TranscriptPlace): void {
    this.#transcript = place;
    this.save();
  }

  save(): void {
    const { ports } = this.#options;
    const { sessionId, epoch, config, capability, taskDefinition } = this.assign;
    const saved: SavedSession = {
      v: 1,
      sessionId,
      epoch,
      config,
      capability,
      taskDefinition,
      state: this.#state,
      desired: this.#desired,
      counters: this.#usage.counters(),
      startedAtMs: this.#startedAtMs,
      cliVersion: this.#usage.cliVersion,
      baseCommit: this.#baseCommit,
      transcript: { ...this.#transcript },
      isOver: this.#isOver,
    };
    saveSession(join(ports.stateDir, 'session.json'), saved, ports.disk);
  }

  dispose(removeJournal: boolean): void {
    this.#usage.stop();
    this.#lease.stop();
    this.uploads.close('the session is over');
    this.events.close(removeJournal);
  }

  /** The only way into the log: an event that held a secret is preceded by one that says so. */
  #log(...drafts: readonly EventDraft[]): void {
    this.events.record(
      ...drafts.flatMap((draft): EventDraft[] => {
        const { event, count } = maskedEvent(draft, this.#secrets);
        return count === 0 ? [event] : [{ type: 'secret_redacted', count, where: 'event' }, event];
      }),
    );
  }

  #endedEvent(state: SessionState, reason: StateReason | null): EventDraft {
    const { lastScreen: _lastScreen, ...short } = reason ?? { code: '', message: '' };
    return { type: 'session_ended', state, reason: reason === null ? null : short, durationMs: this.ranMs };
  }

  #hold(reason: Exclude<FreezeReason, 'pause'>, isOn: boolean): void {
    void this.freezer.set(reason, isOn).then(() => this.#enter());
    if (this.#isOver) return;
    const details = DETAILS_OF_FREEZE[reason];
    this.record({ type: 'session_frozen', frozen: isOn, reason: isOn ? details : `no longer: ${details}` });
    // The next acknowledgement decides: it is asked for now instead of at the next heartbeat.
    this.events.flush(true);
  }

  #enter(): void {
    this.#usage.enter(this.#state, this.freezer.isUnbilled);
  }
}
