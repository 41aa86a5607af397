/** The sessions of a runner, each by itself: its own folder, its own part of the line, its own end. */
import type { Assign, ControlToRunnerFrame, FrameOf, RunnerFrame } from '../../../shared/frames.ts';
import { DRAIN_MS, DRAIN_RESERVE_MS } from '../../../shared/limits.ts';
import type { RunnerConfig } from '../config.ts';
import type { RuntimePorts } from '../session/ports.ts';
import { resumeSession } from '../session/resume.ts';
import type { SavedSession } from '../session/saved-session.ts';
import { SessionRuntime } from '../session/session-runtime.ts';
import type { FairSender } from '../transport/fair-sender.ts';
import { renewLease } from '../workspace/lease.ts';
import { EarlierSessions } from './earlier-sessions.ts';
import { mayHandOver } from './hand-over.ts';
import type { SessionFolders } from './session-folders.ts';
import type { SessionGuard, SessionKey } from './session-guard.ts';

type Welcome = FrameOf<ControlToRunnerFrame, 'welcome'>;
type HelloSession = FrameOf<RunnerFrame, 'hello'>['sessions'][number];
export type SharedPorts = Omit<RuntimePorts, 'send' | 'bufferedBytes' | 'stateDir' | 'onTick' | 'sayHello'>;

export interface HeldSessionsOptions {
  readonly config: RunnerConfig;
  readonly ports: SharedPorts;
  readonly folders: SessionFolders;
  readonly line: FairSender;
  readonly guard: SessionGuard;
  /** Keeps what could not be delivered, to try again on the next line: for a runner that stays. */
  readonly keepsUndelivered: boolean;
  /** What `hello` says has changed. */
  readonly sayHello: () => void;
  readonly onTick: (held: Held) => void;
  readonly onEnded: (held: Held) => void;
}

export interface Held extends SessionKey {
  readonly runtime: SessionRuntime;
  /** The dial on whose first hello it was named: a welcome of that line must know it. */
  toldOnDial: number | null;
  /** The control plane has said on this line what it has and wants of it. */
  isWelcome: boolean;
  isDraining: boolean;
}

const DRAIN_SESSION_MS = DRAIN_MS - DRAIN_RESERVE_MS;

export class HeldSessions {
  readonly #options: HeldSessionsOptions;
  readonly #held = new Map<string, Held>();
  readonly earlier: EarlierSessions;
  #saidOnDial = 0;

  constructor(options: HeldSessionsOptions) {
    this.#options = options;
    const { folders, ports, keepsUndelivered: retries } = options;
    this.earlier = new EarlierSessions({
      ...{ folders, ports, retries },
      isHeld: (sessionId) => this.#held.has(sessionId),
      holdsProgram: (id) => this.all.some(({ runtime }) => runtime.agent.terminal.ptyId === id),
      resume: (saved) => this.#resume(saved),
    });
  }

  get all(): readonly Held[] {
    return [...this.#held.values()];
  }

  get(sessionId: string): Held | undefined {
    return this.#held.get(sessionId);
  }

  /** Those that take a place: one that ends has given its place back, or is about to. */
  get live(): number {
    return this.all.filter(({ runtime }) => !runtime.isEnding).length + this.earlier.stuck;
  }

  /** An earlier process held it, and it cannot be taken up yet. */
  isStuck(sessionId: string): boolean {
    return this.earlier.isStuck(sessionId);
  }

  get areWelcome(): boolean {
    return this.all.every(({ isWelcome }) => isWelcome);
  }

  /** What an earlier epoch of it left here undelivered is held again, so that it is told before the next one takes its folder. */
  takeUpRest(sessionId: string): void {
    const { folders, keepsUndelivered, sayHello } = this.#options;
    if (!keepsUndelivered || this.#held.has(sessionId) || !folders.hasJournal(sessionId)) return;
    this.earlier.takeUp();
    if (this.#held.has(sessionId)) sayHello();
  }

  /** Starts a session. Its id must be free, and nothing of an earlier epoch may run. */
  start({ type: _type, ...assign }: Assign): Held {
    const { config, folders } = this.#options;
    folders.make(assign.sessionId);
    return this.#options.guard.run(assign, () => {
      const held = this.#hold(assign, new SessionRuntime({ ...this.#portsOf(assign), config, assign, saved: null }));
      const { RUNNER_ID: runnerId, RUNNER_VERSION: runnerVersion } = config;
      this.#within(held, () => {
        held.runtime.core.record({ type: 'session_assigned', runnerId, runnerVersion, dial: this.#saidOnDial });
        held.runtime.start();
      });
      return held;
    });
  }

  /** Opens the stream of an epoch that was just assigned: nothing of it is stored; who watches and what is desired comes with a welcome. */
  open({ sessionId, epoch, runtime }: Held, dial: number): void {
    const watchers = { rev: 0, viewers: [], controllerId: null, controlTerm: 0 };
    const entry = { sessionId, epoch, ackedRseq: 0, open: true, decisions: [], watchers, grants: [] };
    const session = { ...entry, desired: { desired: 'run', rev: 0 } } as const;
    runtime.onFrame({ type: 'welcome', dial, sessions: [session], desired: 'serve' });
  }

  /** For `hello` on the line of this dial. */
  hello(dial: number): HelloSession[] {
    if (dial > this.#saidOnDial) for (const held of this.all) held.toldOnDial = dial;
    this.#saidOnDial = Math.max(this.#saidOnDial, dial);
    return this.all.map(({ runtime }) => runtime.hello());
  }

  welcome(frame: Welcome): void {
    for (const held of this.all) {
      const isNamed = frame.sessions.some((entry) => entry.sessionId === held.sessionId && entry.epoch === held.epoch);
      // It may answer a hello from before the assignment: silence about a new session says nothing.
      if (!isNamed && (held.toldOnDial === null || held.toldOnDial < frame.dial)) continue;
      held.isWelcome = true;
      this.#within(held, () => held.runtime.onFrame(frame));
    }
  }

  onFrame(frame: ControlToRunnerFrame): void {
    if (!('sessionId' in frame) || frame.sessionId === undefined) return;
    const held = this.#held.get(frame.sessionId);
    if (held) this.#within(held, () => held.runtime.onFrame(frame));
    else this.#options.ports.log.debug('a frame of no session of ours', { type: frame.type });
  }

  onDown(): void {
    for (const held of this.all) {
      held.isWelcome = false;
      this.#within(held, () => held.runtime.onDown());
    }
  }

  /** A new line is up, whose welcome follows. */
  onUp(): void {
    for (const held of this.all) held.isWelcome = false;
  }

  abortAll(why: string): void {
    for (const held of this.all) this.#within(held, () => held.runtime.abort(why));
  }

  drainAll(): void {
    for (const held of this.all) this.#drain(held);
  }

  /** Gives back those that are between two turns; `askedMs`: for how long this is wanted. */
  handOver(askedMs: number): void {
    for (const held of this.all) {
      const { core, lifetime } = held.runtime;
      const { isWorking, quietMs } = lifetime;
      if (!held.runtime.isEnding && mayHandOver({ state: core.state, isWorking, quietMs, askedMs })) this.#drain(held);
    }
  }

  /** An error of this session that nobody caught. */
  fail(key: SessionKey, error: unknown): void {
    const { ports } = this.#options;
    const { sessionId, epoch } = key;
    ports.log.error('a session failed unexpectedly and is ended', { sessionId, epoch, error });
    const held = this.#held.get(sessionId);
    if (held?.epoch !== epoch) return;
    const message = 'The session met an error of the runner and could not go on.';
    void held.runtime.end({
      to: 'failed',
      reason: { code: 'internal', message, hint: 'Start the session again; the log of the runner says more.' },
    });
  }

  #drain(held: Held): void {
    if (held.isDraining) return;
    held.isDraining = true;
    const { runtime } = held;
    // One that ends already may have waited for minutes.
    if (runtime.isEnding) runtime.hurry.tell(DRAIN_SESSION_MS);
    else this.#within(held, () => void runtime.drain(DRAIN_SESSION_MS));
  }

  #resume(saved: SavedSession): void {
    const { config, guard } = this.#options;
    guard.run(saved, () => {
      const { ports } = this.#portsOf(saved);
      const runtime = new SessionRuntime({ ports, config, assign: { ...saved, ranMs: 0 }, saved });
      this.#hold(saved, runtime);
      resumeSession(runtime, ports, saved);
    });
  }

  #hold({ sessionId, epoch }: SessionKey, runtime: SessionRuntime): Held {
    const held: Held = { sessionId, epoch, runtime, toldOnDial: null, isWelcome: false, isDraining: false };
    this.#held.set(sessionId, held);
    void runtime.ended.then(() => this.#onEnded(held));
    return held;
  }

  #onEnded(held: Held): void {
    const { folders, line, keepsUndelivered } = this.#options;
    const { sessionId, runtime } = held;
    this.#held.delete(sessionId);
    line.forget(sessionId);
    // A journal that nobody takes any more goes too, like that of a hosted task, whose disk ends with it anyway.
    const isKept = keepsUndelivered && !runtime.isUnwanted && folders.hasJournal(sessionId);
    if (!isKept) folders.remove(sessionId);
    this.#options.onEnded(held);
  }

  /** An error in here is this session's alone. */
  #within(held: Held, work: () => void): void {
    this.#options.guard.run(held, () => {
      try {
        work();
      } catch (error) {
        this.fail(held, error);
      }
    });
  }

  #portsOf({ sessionId, epoch }: SessionKey): { readonly ports: RuntimePorts } {
    const { folders, ports, line } = this.#options;
    return {
      ports: {
        ...ports,
        log: ports.log.with({ sessionId, epoch }),
        stateDir: folders.of(sessionId),
        send: (frame, urgency) => line.send(sessionId, frame, urgency),
        bufferedBytes: () => line.bufferedBytes(sessionId),
        onTick: () => this.#onTick(sessionId),
        sayHello: () => this.#options.sayHello(),
      },
    };
  }

  #onTick(sessionId: string): void {
    const held = this.#held.get(sessionId);
    if (!held) return;
    const { config, ports, onTick } = this.#options;
    onTick(held);
    const { epoch, config: session } = held.runtime.core.assign;
    const holder = { runnerId: config.RUNNER_ID, pool: session.pool };
    const lease = { sessionId, epoch, ...holder, renewedAtMs: ports.clock.nowMs() };
    renewLease(config.WORKSPACE_ROOT, lease).catch((error: unknown) =>
      ports.log.warn('the lease of the workspace could not be renewed', { sessionId, error }),
    );
  }
}
