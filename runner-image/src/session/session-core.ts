/** The durable side of a session: its state, its events, its counters and its lease, whatever the CLI does. */

import { join } from 'node:path';
import type { EventDraft } from '../../../shared/events.ts';
import type { Assign } from '../../../shared/frames.ts';
import type { SessionState, StateReason } from '../../../shared/session.ts';
import { isFinal } from '../../../shared/session.ts';
import type { RunnerConfig } from '../config.ts';
import { UsageTicker } from '../metering/usage-ticker.ts';
import { type Desired, newerDesired } from './convergence.ts';
import { DiskGate } from './disk-gate.ts';
import { EventStream } from './event-stream.ts';
import type { Freezer } from './freezer.ts';
import { type MachineEvent, nextState } from './machine.ts';
import type { RuntimePorts } from './ports.ts';
import { NO_PARTS, type SavedParts } from './saved-parts.ts';
import type { SavedSession } from './saved-session.ts';
import { SessionHold } from './session-hold.ts';
import { SessionRecord } from './session-record.ts';
import type { TranscriptPlace } from './transcript-store.ts';
import { Uploads } from './uploads.ts';

export interface CoreOptions {
  readonly assign: Omit<Assign, 'type' | 'checkpoint'> & Partial<Pick<Assign, 'checkpoint'>>;
  readonly ports: Pick<
    RuntimePorts,
    'clock' | 'bootMs' | 'random' | 'log' | 'disk' | 'stateDir' | 'send' | 'put' | 'putFile' | 'onTick' | 'sayHello'
  >;
  readonly config: Pick<RunnerConfig, 'RUNNER_VERSION' | 'USAGE_TICK_INTERVAL_MS' | 'VILLAGE_TASK_DEFINITION'>;
  readonly saved: SavedSession | null;
  /** Offset after the last byte of the terminal stream. */
  readonly headOffset: () => number;
  /** The epoch or the lease is lost for good: everything must be killed at once. */
  readonly onAbort: (why: string) => void;
  /** The state is another one. */
  readonly onMoved?: () => void;
  /** What is saved beside this; then nothing is saved before the first change or `save()`. */
  readonly parts?: () => SavedParts;
}

export class SessionCore {
  readonly assign: CoreOptions['assign'];
  readonly events: EventStream;
  readonly uploads: Uploads;
  readonly freezer: Freezer;
  readonly #options: CoreOptions;
  readonly #hold: SessionHold;
  readonly #usage: UsageTicker;
  readonly #disk: DiskGate;
  #state: SessionState;
  #desired: Desired;
  #baseCommit: string;
  #transcript: TranscriptPlace;
  #nextUpload: number;
  #startedAtMs: number;
  #isOver = false;
  #isJournalLost = false;
  readonly #record: SessionRecord;

  constructor(options: CoreOptions) {
    const { assign, ports, saved, config } = options;
    const { clock, log, bootMs } = ports;
    this.#options = options;
    this.assign = assign;
    this.#state = saved?.state ?? 'created';
    this.#desired = saved?.desired ?? { desired: 'run', rev: 0 };
    this.#baseCommit = saved?.baseCommit ?? '';
    this.#transcript = saved?.transcript ?? { nextNumber: 0, storedOffset: 0 };
    this.#nextUpload = saved?.nextUpload ?? 1;
    this.#startedAtMs = saved?.startedAtMs ?? clock.nowMs() - assign.ranMs;
    this.#isOver = saved?.isOver ?? false;
    this.#usage = new UsageTicker({
      clock,
      intervalMs: config.USAGE_TICK_INTERVAL_MS,
      runnerBuild: config.RUNNER_VERSION,
      taskDefinition: assign.taskDefinition || config.VILLAGE_TASK_DEFINITION,
      restored: saved,
      headOffset: options.headOffset,
      // With the counters it tells: after a crash they never fall behind a tick.
      record: (draft) => this.commit([draft]),
      onTick: () => {
        // The tick is the heartbeat: it leaves now, with whatever lingers.
        this.events.flush(true);
        ports.onTick();
      },
    });
    this.#disk = new DiskGate({ clock, onFull: (isFull) => this.#hold.set('disk_full', isFull) });
    this.events = this.#openEvents(options);
    this.#record = new SessionRecord({
      path: join(ports.stateDir, 'session.json'),
      disk: ports.disk,
      gate: this.#disk,
      events: this.events,
      saved: () => this.#saved(),
      fromRseq: saved?.due.rseq ?? 1,
      secrets: [assign.capability],
    });
    this.uploads = new Uploads({
      clock,
      random: ports.random,
      log,
      put: ports.put,
      putFile: ports.putFile,
      wish: (wish, isUrgent) => this.events.wish(wish, isUrgent),
    });
    // Last, as it has timers: nothing of a core that could not be opened may run on.
    this.#hold = new SessionHold({
      ...{ clock, bootMs, log, leaseProvenAtMs: saved?.leaseProvenAtMs ?? bootMs() },
      onChanged: () => this.#enter(),
      tell: (draft) => this.#tellHeld(draft),
      onKill: () => options.onAbort('lease_lost'),
    });
    this.freezer = this.#hold.freezer;
    this.#usage.enter(this.#state, this.freezer.isUnbilled);
    this.#usage.start();
    if (!options.parts) this.begin();
  }

  /** Throws where the journal cannot be read. */
  #openEvents({ assign, ports, saved, headOffset, onAbort }: CoreOptions): EventStream {
    const { sessionId, epoch } = assign;
    const { clock, log, bootMs } = ports;
    return new EventStream({
      identity: { sessionId, tenantId: assign.config.tenantId, epoch },
      capability: assign.capability,
      journalPath: join(ports.stateDir, 'journal'),
      disk: ports.disk,
      clock,
      bootMs,
      log,
      send: ports.send,
      offset: headOffset,
      ...(saved ? { fromOffset: saved.headOffset } : {}),
      hasMore: () => this.#disk.isFull,
      onProven: (sentAtMs) => {
        this.#hold.prove(sentAtMs);
        this.save();
      },
      onOver: (reason) => onAbort(reason),
      onBroken: (why) => {
        log.error('the event stream is broken', { why });
        void this.freezer.set('stream_broken', true).then(() => {
          this.#isJournalLost = true;
          ports.sayHello?.();
        });
        // The process after this one must know: it could reach the number that the control plane has, with other events.
        this.save();
      },
      onFull: (isFull) => this.#hold.set('journal_full', isFull),
    });
  }

  /** To be called once everything exists that is saved; after a crash it goes on from there. */
  begin(): void {
    const { saved } = this.#options;
    if (saved === null) {
      this.save();
      return;
    }
    // Numbers that were given before must not be given again to other events.
    const isLost = saved.due.rseq > this.events.nextRseq || saved.held.includes('stream_broken');
    if (isLost) this.events.breakOff('the journal was lost');
    else this.#record.recordDue(saved.due);
    this.#hold.goOn(saved.held);
    this.#enter();
  }

  get state(): SessionState {
    return this.#state;
  }

  get desired(): Desired {
    return this.#desired;
  }

  /** What is stored cannot be gone on with here, and nothing of the session runs any more: another epoch must. */
  get isJournalLost(): boolean {
    return this.#isJournalLost;
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
    else this.#record.write(this.#record.placed([draft]), false);
  }

  /** Records events that belong to the state as it is now: after a crash the saved state has them all behind it, each once. */
  commit(drafts: readonly EventDraft[]): void {
    if (!this.#isOver) this.#record.write(this.#record.placed(drafts), true);
    else for (const { type } of drafts) this.#options.ports.log.warn('an event came after the end', { type });
  }

  /** Does a write now, or when a full disk has room again; until then the session is held. */
  keep(write: () => void): void {
    this.#disk.run(write);
  }

  /** From here on no event shows one of these. */
  hide(secrets: readonly string[]): void {
    this.#record.hide(secrets);
  }

  /** @returns whether that changed anything */
  ask(told: Desired): boolean {
    const before = this.#desired;
    const { desired, rev } = newerDesired(before, told);
    // A frame is told, and only this of it is saved.
    this.#desired = { desired, rev };
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
    const ended = this.#isOver ? [this.#endedEvent(toState, reason)] : [];
    this.#record.write(this.#record.placed([changed, ...ended]), true);
    this.#options.onMoved?.();
    return true;
  }

  /** The last event of an epoch whose session goes on elsewhere: nothing follows it here. */
  leave(draft: Extract<EventDraft, { type: 'epoch_drained' | 'session_parked' }>): void {
    const last = this.#record.placed([draft]);
    this.#isOver = true;
    this.#record.write(last, true);
  }

  /** The epoch is over elsewhere, or may be: nothing follows here, and no state is claimed. */
  close(): void {
    this.#isOver = true;
    this.save();
  }

  /** From here on no agent time passes, whatever the state still is. */
  stopMetering(): void {
    this.#usage.enter('stopping', false);
  }

  /** Before what leaves at once anyway. */
  tickEarly(): void {
    if (!this.#isOver && this.#usage.tickEarly()) this.#options.ports.onTick();
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

  /** Kept with the next save: before the state that needs it is saved, a crash has the workspace made anew. */
  setBaseCommit(commit: string): void {
    this.#baseCommit = commit;
  }

  setTranscript(place: TranscriptPlace): void {
    this.#transcript = place;
    this.save();
  }

  /** A number that no diff or checkpoint of this epoch has, kept before it is used: a crash hides whether something lies under it. */
  takeNumber(): number {
    const number = Math.max(this.#nextUpload, this.events.nextRseq);
    this.#nextUpload = number + 1;
    this.save();
    return number;
  }

  save(): void {
    this.#record.write([], true);
  }

  dispose(removeJournal: boolean): void {
    this.#usage.stop();
    this.#hold.stop();
    this.#disk.stop();
    this.uploads.close('the session is over');
    this.events.close(removeJournal);
  }

  #saved(): Omit<SavedSession, 'due'> {
    const { sessionId, epoch, config, capability, taskDefinition, ranMs } = this.assign;
    return {
      v: 2,
      ...{ sessionId, epoch, config, capability, taskDefinition, ranMs },
      checkpoint: this.assign.checkpoint ?? null,
      state: this.#state,
      desired: this.#desired,
      counters: this.#usage.counters(),
      startedAtMs: this.#startedAtMs,
      cliVersion: this.#usage.cliVersion,
      baseCommit: this.#baseCommit,
      transcript: { ...this.#transcript },
      nextUpload: this.#nextUpload,
      isOver: this.#isOver,
      headOffset: this.events.lastOffset,
      leaseProvenAtMs: this.#hold.leaseProvenAtMs,
      held: this.freezer.reasons,
      ...{ leaving: null, checkpointKey: null },
      ...(this.#options.parts?.() ?? NO_PARTS),
    };
  }

  #endedEvent(state: SessionState, reason: StateReason | null): EventDraft {
    const { lastScreen: _lastScreen, ...short } = reason ?? { code: '', message: '' };
    return { type: 'session_ended', state, reason: reason === null ? null : short, durationMs: this.ranMs };
  }

  #tellHeld(draft: EventDraft): void {
    if (this.#isOver) return;
    this.commit([draft]);
    // The next acknowledgement decides: it is asked for now instead of at the next heartbeat.
    this.events.flush(true);
  }

  #enter(): void {
    this.#usage.enter(this.#state, this.freezer.isUnbilled);
  }
}
