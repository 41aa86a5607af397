/** The sessions of a simulated runner that may hold several: each with its own folder, its own part of the line, its own end. */
import { silentLog } from '../../runner-image/src/log.ts';
import { mayHandOver } from '../../runner-image/src/runner/hand-over.ts';
import { loadSession, type SavedSession } from '../../runner-image/src/session/saved-session.ts';
import type { PutObject } from '../../runner-image/src/session/uploads.ts';
import { type Disk, isDiskFull } from '../../runner-image/src/transport/disk.ts';
import type { FairSender } from '../../runner-image/src/transport/fair-sender.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Assign, ControlToRunnerFrame, FrameOf, RunnerFrame } from '../../shared/frames.ts';
import type { HostWorld, SimHost } from './sim-host.ts';
import { SimSession } from './sim-session.ts';

type Welcome = FrameOf<ControlToRunnerFrame, 'welcome'>;
type HelloSession = FrameOf<RunnerFrame, 'hello'>['sessions'][number];

export interface Held {
  readonly sessionId: string;
  readonly epoch: number;
  readonly runtime: SimSession;
  toldOnDial: number | null;
  isWelcome: boolean;
  isDraining: boolean;
}

export interface SimHeldOptions {
  readonly world: HostWorld;
  readonly host: SimHost;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly line: FairSender;
  readonly putter: PutObject;
  readonly runnerId: string;
  readonly keepsUndelivered: boolean;
  readonly isAlive: () => boolean;
  readonly die: () => void;
  readonly sayHello: () => void;
  /** What `hello` says has changed. */
  readonly onEnded: (held: Held) => void;
}

const FOLDER = 'state/sessions/';
const folderOf = (sessionId: string): string => `${FOLDER}${sessionId}`;

export class SimHeld {
  readonly #options: SimHeldOptions;
  readonly #held = new Map<string, Held>();
  readonly #stuck = new Set<string>();
  #saidOnDial = 0;

  constructor(options: SimHeldOptions) {
    this.#options = options;
  }

  get all(): readonly Held[] {
    return [...this.#held.values()];
  }

  get live(): number {
    return this.all.filter(({ runtime }) => !runtime.isEnding).length + this.#stuck.size;
  }

  get areWelcome(): boolean {
    return this.all.every(({ isWelcome }) => isWelcome);
  }

  get(sessionId: string): Held | undefined {
    return this.#held.get(sessionId);
  }

  isStuck(sessionId: string): boolean {
    return this.#stuck.has(sessionId);
  }

  /** Nothing waits on the disk that is not held. */
  get areAllHeld(): boolean {
    return this.#options.host.disk.namesUnder(FOLDER).every((sessionId) => this.#held.has(sessionId));
  }

  /** What an earlier epoch of it left here undelivered is held again, before the next one takes its folder. */
  takeUpRest(sessionId: string): void {
    if (!this.#options.keepsUndelivered || this.#held.has(sessionId) || !this.#hasJournal(sessionId)) return;
    this.takeUp();
    if (this.#held.has(sessionId)) this.#options.sayHello();
  }

  /** What an earlier process held, or what could not be delivered on an earlier line. */
  takeUp(): void {
    const { host, disk } = this.#options;
    for (const sessionId of host.disk.namesUnder(FOLDER)) {
      if (this.#held.has(sessionId) || this.#stuck.has(sessionId)) continue;
      const saved = loadSession(`${folderOf(sessionId)}/session.json`, disk);
      if (saved === null) this.#remove(sessionId);
      else this.#resume(saved);
    }
  }

  /** @returns whether there are sessions that `hello` did not name */
  retryStuck(): boolean {
    if (this.#stuck.size === 0) return false;
    const before = this.#held.size;
    this.#stuck.clear();
    this.takeUp();
    return this.#held.size > before;
  }

  start({ type: _type, checkpoint: _checkpoint, ...assign }: Assign): Held {
    const { world, host, runnerId } = this.#options;
    this.#remove(assign.sessionId);
    const held = this.#hold(this.#sessionOf(assign, null));
    world.truth.began(host, held.runtime.options.place, this.live);
    this.#within(held, () => {
      const dial = this.#saidOnDial;
      held.runtime.core.record({ type: 'session_assigned', runnerId, runnerVersion: '0.1.0', dial });
      this.#running(held, held.runtime.begin());
    });
    return held;
  }

  /** Opens the stream of an epoch that was just assigned. */
  open({ sessionId, epoch, runtime }: Held, dial: number): void {
    const watchers = { rev: 0, viewers: [], controllerId: null, controlTerm: 0 };
    const entry = { sessionId, epoch, ackedRseq: 0, open: true, decisions: [], watchers, grants: [] };
    const session = { ...entry, desired: { desired: 'run', rev: 0 } } as const;
    runtime.onFrame({ type: 'welcome', dial, sessions: [session], desired: 'serve' });
  }

  hello(dial: number): HelloSession[] {
    if (dial > this.#saidOnDial) for (const held of this.all) held.toldOnDial = dial;
    this.#saidOnDial = Math.max(this.#saidOnDial, dial);
    return this.all.map(({ runtime }) => runtime.hello());
  }

  welcome(frame: Welcome): void {
    for (const held of this.all) {
      const isNamed = frame.sessions.some((entry) => entry.sessionId === held.sessionId && entry.epoch === held.epoch);
      if (!isNamed && (held.toldOnDial === null || held.toldOnDial < frame.dial)) continue;
      held.isWelcome = true;
      this.#within(held, () => held.runtime.onFrame(frame));
    }
  }

  onFrame(frame: ControlToRunnerFrame): void {
    if (!('sessionId' in frame) || frame.sessionId === undefined) return;
    const held = this.#held.get(frame.sessionId);
    if (held) this.#within(held, () => held.runtime.onFrame(frame));
  }

  onDown(): void {
    for (const held of this.all) {
      held.isWelcome = false;
      this.#within(held, () => held.runtime.core.events.onDown());
    }
  }

  onUp(): void {
    for (const held of this.all) {
      held.isWelcome = false;
      held.runtime.onUp();
    }
  }

  abortAll(why: string): void {
    for (const held of this.all) this.#within(held, () => held.runtime.abort(why));
  }

  drainAll(): void {
    for (const held of this.all) this.#drain(held);
  }

  handOver(askedMs: number): void {
    for (const held of this.all) {
      const { core, isEnding, quietMs } = held.runtime;
      if (!isEnding && mayHandOver({ state: core.state, isWorking: false, quietMs, askedMs })) this.#drain(held);
    }
  }

  /** Nothing of this machine is of use to anybody any more. */
  forgetAll(): void {
    const { host, world, isAlive } = this.#options;
    if (!isAlive()) return;
    host.disk.removeUnder('state/');
    for (const place of host.ground.places) world.truth.diskLost(place);
  }

  #drain(held: Held): void {
    if (held.isDraining) return;
    held.isDraining = true;
    this.#within(held, () => held.runtime.drain());
  }

  #resume(saved: SavedSession): void {
    let session: SimSession;
    try {
      session = this.#sessionOf({ ...saved, ranMs: 0 }, saved);
    } catch (error) {
      // A runner of one session is started again; one that stays tries again by itself.
      if (!this.#options.keepsUndelivered || !isDiskFull(error)) throw error;
      this.#stuck.add(saved.sessionId);
      return;
    }
    const held = this.#hold(session);
    this.#within(held, () => this.#running(held, session.begin()));
  }

  #hold(runtime: SimSession): Held {
    const { sessionId, epoch } = runtime.core.assign;
    const held: Held = { sessionId, epoch, runtime, toldOnDial: null, isWelcome: false, isDraining: false };
    this.#held.set(sessionId, held);
    return held;
  }

  #sessionOf(assign: Omit<Assign, 'type' | 'checkpoint'>, saved: SavedSession | null): SimSession {
    const { world, host, disk, clock, line, putter } = this.#options;
    const { sessionId } = assign;
    const within = (run: () => void): void => {
      const held = this.#held.get(sessionId);
      if (held) this.#within(held, run);
      else run();
    };
    return new SimSession({
      ...{ assign, saved, chance: world.chance, faults: world.faults },
      place: host.ground.place(assign),
      ports: {
        ...{ disk, random: world.chance, log: silentLog, stateDir: folderOf(sessionId), put: putter },
        clock: { ...clock, after: (delayMs, run) => clock.after(delayMs, () => within(run)) },
        bootMs: () => world.scheduler.nowMs,
        send: (frame) => line.send(sessionId, frame),
        onTick: () => {},
        sayHello: () => this.#options.sayHello(),
      },
      onEnded: () => this.#onEnded(sessionId, assign.epoch),
    });
  }

  #onEnded(sessionId: string, epoch: number): void {
    const { line, keepsUndelivered, onEnded } = this.#options;
    const held = this.#held.get(sessionId);
    if (held?.epoch !== epoch) return;
    this.#held.delete(sessionId);
    line.forget(sessionId);
    // A runner that stays lets go only of what is stored, or of what nobody will ever take.
    const { isUnwanted, core, options } = held.runtime;
    const isLost = keepsUndelivered ? isUnwanted && !core.events.isBroken : !options.place.mustTellAll;
    if (!(keepsUndelivered && !isUnwanted && this.#hasJournal(sessionId))) this.#remove(sessionId, isLost);
    onEnded(held);
  }

  #hasJournal(sessionId: string): boolean {
    return this.#options.disk.read(`${folderOf(sessionId)}/journal`) !== undefined;
  }

  /** What could not be delivered from there is lost with it. */
  #remove(sessionId: string, isLost = true): void {
    const { host, world, isAlive } = this.#options;
    if (!isAlive()) return;
    host.disk.removeUnder(`${folderOf(sessionId)}/`);
    if (!isLost) return;
    for (const place of host.ground.places) if (place.sessionId === sessionId) world.truth.diskLost(place);
  }

  /** An error in here is this session's alone. */
  #within(held: Held, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(held, error);
    }
  }

  #running(held: Held, work: Promise<void>): void {
    work.catch((error: unknown) => this.#fail(held, error));
  }

  #fail(held: Held, error: unknown): void {
    if (!isDiskFull(error)) {
      this.#options.die();
      return;
    }
    const message = 'The session met an error of the runner and could not go on.';
    void held.runtime.end({ to: 'failed', reason: { code: 'internal', message } }).catch(() => this.#options.die());
  }
}
