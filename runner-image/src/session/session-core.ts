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
import { maskedEvent } from './event-masks.ts';
import { EventStream, type PlacedDraft } from './event-stream.ts';
import { type FreezeReason, Freezer } from './freezer.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { type MachineEvent, nextState } from './machine.ts';
import type { RuntimePorts } from './ports.ts';
import { type DueEvents, type SavedSession, saveSession } from './saved-session.ts';
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

/** The part of a saved session that others than the core know. */
export type SavedParts = Pick<
  SavedSession,
  'ending' | 'prompts' | 'nextPrompt' | 'isPromptDone' | 'lanes' | 'apiInputs' | 'typedInTerm' | 'progress' | 'agent'
> &
  Partial<Pick<SavedSession, 'leaving' | 'checkpointKey'>>;

const NO_PARTS: SavedParts = {
  ending: null,
  prompts: [],
  nextPrompt: 1,
  isPromptDone: false,
  lanes: [],
  apiInputs: [],
  typedInTerm: null,
  progress: { prompts: 0, turnsDone: 0, isWorking: false },
  agent: null,
};

const DETAILS_OF_FREEZE: Readonly<Record<Exclude<FreezeReason, 'pause'>, string>> = {
  lease_lost: 'the control plane has not answered for the length of the lease',
  journal_full: 'too many events wait to be taken by the control plane',
  disk_full: 'the disk of the runner is full',
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
  readonly #disk: DiskGate;
  #state: SessionState;
  #desired: Desired;
  #baseCommit: string;
  #transcript: TranscriptPlace;
  #nextUpload: number;
  #startedAtMs: number;
  #isOver = false;
  #isJournalLost = false;
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
    this.freezer = new Freezer(clock, log);
    this.#disk = new DiskGate({ clock, onFull: (isFull) => this.#hold('disk_full', isFull) });
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
      ...(saved ? { fromOffset: saved.headOffset } : {}),
      hasMore: () => this.#disk.isFull,
      onProven: (sentAtMs) => {
        this.#lease.prove(sentAtMs);
        this.save();
      },
      onOver: (reason) => options.onAbort(reason),
      onBroken: (why) => {
        log.error('the event stream is broken', { why });
        void this.freezer.set('stream_broken', true).then(() => {
          this.#isJournalLost = true;
          ports.sayHello?.();
        });
      },
      onFull: (isFull) => this.#hold('journal_full', isFull),
    });
    this.uploads = new Uploads({
      clock,
      random: ports.random,
      log,
      put: ports.put,
      putFile: ports.putFile,
      wish: (wish, isUrgent) => this.events.wish(wish, isUrgent),
    });
    this.#lease = new LeaseKeeper({
      clock,
      bootMs,
      provenAtMs: saved?.leaseProvenAtMs ?? bootMs(),
      onLost: () => this.#hold('lease_lost', true),
      onHeld: () => this.#hold('lease_lost', false),
      onKill: () => options.onAbort('lease_lost'),
    });
    this.#usage.enter(this.#state, this.freezer.isUnbilled);
    this.#usage.start();
    if (!options.parts) this.begin();
  }

  /** To be called once everything exists that is saved; after a crash it goes on from there. */
  begin(): void {
    const { saved } = this.#options;
    if (saved === null) {
      this.save();
      return;
    }
    // Numbers that were given before must not be given again to other events.
    if (saved.due.rseq > this.events.nextRseq) this.events.breakOff('the journal was lost');
    else this.#recordDue(saved.due);
    // What held the session before the crash holds it on, or is told to be over.
    if (this.#lease.isLost && saved.held.includes('lease_lost')) void this.freezer.set('lease_lost', true);
    else if (this.#lease.isLost) this.#hold('lease_lost', true);
    for (const reason of saved.held)
      if (reason !== 'pause' && (reason !== 'lease_lost' || !this.#lease.isLost)) this.#hold(reason, false);
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
    else this.#write(this.#placed([draft]), false);
  }

  /** Records events that belong to the state as it is now: after a crash the saved state has them all behind it, each once. */
  commit(drafts: readonly EventDraft[]): void {
    if (!this.#isOver) this.#write(this.#placed(drafts), true);
    else for (const { type } of drafts) this.#options.ports.log.warn('an event came after the end', { type });
  }

  /** After a crash: records what the process before this one had saved as due and not recorded any more. */
  #recordDue({ rseq, events }: DueEvents): void {
    const missing = events.slice(Math.max(0, this.events.nextRseq - rseq));
    if (missing.length > 0) this.#write([...missing], false);
  }

  /** Does a write now, or when a full disk has room again; until then the session is held. */
  keep(write: () => void): void {
    this.#disk.run(write);
  }

  /** From here on no event shows one of these. */
  hide(secrets: readonly string[]): void {
    this.#secrets = secrets;
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
    this.#write(this.#placed([changed, ...ended]), true);
    this.#options.onMoved?.();
    return true;
  }

  /** The last event of an epoch whose session goes on elsewhere: nothing follows it here. */
  leave(draft: Extract<EventDraft, { type: 'epoch_drained' | 'session_parked' }>): void {
    const last = this.#placed([draft]);
    this.#isOver = true;
    this.#write(last, true);
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

  setBaseCommit(commit: string): void {
    this.#baseCommit = commit;
    this.save();
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
    this.#write([], true);
  }

  dispose(removeJournal: boolean): void {
    this.#usage.stop();
    this.#lease.stop();
    this.#disk.stop();
    this.uploads.close('the session is over');
    this.events.close(removeJournal);
  }

  /** The only way into the log: an event that held a secret is preceded by one that says so. */
  #placed(drafts: readonly EventDraft[]): PlacedDraft[] {
    const masked = drafts.flatMap((draft): EventDraft[] => {
      const { event, count } = maskedEvent(draft, this.#secrets);
      return count === 0 ? [event] : [{ type: 'secret_redacted', count, where: 'event' }, event];
    });
    return masked.map((draft) => this.events.placed(draft));
  }

  #write(events: PlacedDraft[], isSaved: boolean): void {
    const due = [...events];
    if (isSaved) {
      const saved = this.#saved();
      const { stateDir, disk } = this.#options.ports;
      const path = join(stateDir, 'session.json');
      this.#disk.run(() => saveSession(path, { ...saved, due: { rseq: this.events.nextRseq, events: due } }, disk));
    }
    if (events.length > 0) this.#disk.run(() => this.events.record(events));
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
      leaseProvenAtMs: this.#lease.provenAtMs,
      held: this.freezer.reasons,
      ...{ leaving: null, checkpointKey: null },
      ...(this.#options.parts?.() ?? NO_PARTS),
    };
  }

  #endedEvent(state: SessionState, reason: StateReason | null): EventDraft {
    const { lastScreen: _lastScreen, ...short } = reason ?? { code: '', message: '' };
    return { type: 'session_ended', state, reason: reason === null ? null : short, durationMs: this.ranMs };
  }

  #hold(reason: Exclude<FreezeReason, 'pause'>, isOn: boolean): void {
    void this.freezer.set(reason, isOn).then(() => this.#enter());
    if (this.#isOver) return;
    const details = DETAILS_OF_FREEZE[reason];
    this.commit([{ type: 'session_frozen', frozen: isOn, reason: isOn ? details : `no longer: ${details}` }]);
    // The next acknowledgement decides: it is asked for now instead of at the next heartbeat.
    this.events.flush(true);
  }

  #enter(): void {
    this.#usage.enter(this.#state, this.freezer.isUnbilled);
  }
}
