/**
 * A session on a simulated runner: the real core (events, journal, lease, counters, states, uploads) and the real people, with a scripted
 * CLI in place of a program. What the runner's composition does with them around a CLI is followed here step by step.
 */
import { converge } from '../../runner-image/src/session/convergence.ts';
import { People } from '../../runner-image/src/session/people.ts';
import type { RuntimePorts } from '../../runner-image/src/session/ports.ts';
import type { SavedSession } from '../../runner-image/src/session/saved-session.ts';
import { SessionCore } from '../../runner-image/src/session/session-core.ts';
import { Typing } from '../../runner-image/src/session/typing.ts';
import type { EventDraft } from '../../shared/events.ts';
import type { Assign, ControlToRunnerFrame, FrameOf, RunnerFrame } from '../../shared/frames.ts';
import { END_LAST_ACK_MS, END_STORE_MS, RESTARTED_LAST_ACK_MS, STOP_GRACE_MS } from '../../shared/limits.ts';
import { isFinal, type StateReason } from '../../shared/session.ts';
import type { Chance } from './chance.ts';
import { activity } from './cli-activity.ts';
import type { Faults } from './faults.ts';
import type { Cli, SimHost } from './sim-host.ts';

export interface SimSessionOptions {
  readonly assign: Omit<Assign, 'type' | 'checkpoint'>;
  readonly saved: SavedSession | null;
  readonly ports: Pick<RuntimePorts, 'clock' | 'bootMs' | 'log' | 'disk' | 'stateDir' | 'send' | 'put' | 'onTick'>;
  readonly chance: Chance;
  readonly faults: Faults;
  readonly host: SimHost;
  /** Nothing of the session is left to do here. */
  readonly onEnded: () => void;
}

export const CORE_CONFIG = { RUNNER_VERSION: '0.1.0', USAGE_TICK_INTERVAL_MS: 30_000, VILLAGE_TASK_DEFINITION: '' };
const LOST: StateReason = { code: 'runner_restarted', message: 'The runner process crashed.' };
const STOPPED: StateReason = { code: 'stopped', message: 'The session was stopped.' };
const DRAIN_MS = 23_000;

export class SimSession {
  readonly core: SessionCore;
  readonly #options: SimSessionOptions;
  readonly #people: People;
  readonly #typing: Typing;
  #isWatched = false;
  #isWelcome = false;
  #isFollowing = false;
  #mustFollow = false;
  #ending: Promise<void> | null = null;
  #isAborted = false;
  #hasLeft = false;
  #checkpoints = 0;
  #checkpointKey: string | null = null;
  #parkAtMs = Number.POSITIVE_INFINITY;

  constructor(options: SimSessionOptions) {
    const { assign, saved, ports, host } = options;
    const { sessionId, epoch, capability } = assign;
    this.#options = options;
    this.core = new SessionCore({
      ...{ assign, ports, saved, config: CORE_CONFIG },
      headOffset: () => host.offset,
      onAbort: (why) => this.abort(why),
    });
    this.#typing = new Typing({
      ...{ sessionId, epoch, capability, clock: ports.clock, log: ports.log },
      send: (frame) => void ports.send(frame),
      record: (draft) => this.#record(draft),
      onTyped: () => {},
    });
    this.#people = new People({
      typing: this.#typing,
      onWatched: (isWatched) => {
        this.#isWatched = isWatched;
        this.core.events.setWatched(isWatched);
      },
      onSize: () => {},
    });
  }

  get isWatched(): boolean {
    return this.#isWatched;
  }

  /** A welcome named it on this process's line. */
  get isWelcome(): boolean {
    return this.#isWelcome;
  }

  get isEnding(): boolean {
    return this.#ending !== null;
  }

  hello(): FrameOf<RunnerFrame, 'hello'>['sessions'][number] {
    const { sessionId, epoch } = this.core.assign;
    const { viewersRev } = this.#people;
    const { nextRseq } = this.core.events;
    return {
      sessionId,
      epoch,
      nextRseq,
      head: this.#options.host.offset,
      desiredRev: this.core.desired.rev,
      viewersRev,
    };
  }

  /** A fresh epoch: workspace, CLI, first prompt. */
  async boot(): Promise<void> {
    const { host, chance, assign } = this.#options;
    const wait = (maxMs: number) => host.pause(chance.between(5, maxMs));
    const isOn = () => !this.isEnding;
    this.core.move({ type: 'PREPARE' });
    this.#record({
      type: 'workspace_preparing',
      ...{ repository: assign.config.repository.url, ref: null, step: 'preparing_workspace' },
    });
    await wait(3_000);
    if (!isOn()) return;
    this.#record({
      type: 'workspace_ready',
      headCommit: 'a'.repeat(40),
      branch: 'main',
      mirror: 'warm',
      tookMs: 10,
    });
    this.core.move({ type: 'PREPARED' });
    await wait(2_000);
    if (!isOn()) return;
    const cli = host.startCli(assign.epoch);
    this.core.freezer.setTarget(host.freezable(cli));
    this.core.setCliVersion('1.0.0');
    this.#record({
      type: 'provider_started',
      provider: 'shell',
      cliVersion: '1.0.0',
      pid: 7,
      isolation: 'shared_uid',
    });
    await wait(500);
    if (!isOn()) return;
    this.#record({ type: 'provider_ready', tookMs: 5, degraded: false });
    if (this.core.move({ type: 'READY' })) this.#run();
  }

  /** A restarted process takes up what the one before it left. */
  async resume(saved: SavedSession): Promise<void> {
    const { host } = this.#options;
    if (saved.isOver || isFinal(saved.state)) {
      this.#ending ??= this.#deliverRest();
      return;
    }
    await host.pause(5);
    const { cli } = host;
    if (cli === null || cli.isDead || (saved.state !== 'running' && saved.state !== 'paused_by_human')) {
      void this.end('failed', LOST);
      return;
    }
    this.core.freezer.setTarget(host.freezable(cli));
    if (saved.state === 'paused_by_human') await this.core.freezer.set('pause', true);
    this.#run();
  }

  onUp(): void {
    this.#isWelcome = false;
  }

  onFrame(frame: ControlToRunnerFrame): void {
    const { sessionId, epoch } = this.core.assign;
    if (frame.type === 'welcome') {
      const mine = frame.sessions.find((entry) => entry.sessionId === sessionId && entry.epoch === epoch);
      this.#onWelcome(mine);
      return;
    }
    if (!('epoch' in frame) || frame.sessionId !== sessionId || frame.epoch !== epoch) return;
    if (frame.type === 'ack') {
      this.core.uploads.onGrants(frame.grants);
      this.core.events.onAck(frame);
    } else if (frame.type === 'nack') this.core.events.onNack(frame);
    else if (frame.type === 'desired') {
      this.core.ask(frame);
      this.#follow();
    } else if (frame.type !== 'approval_decision' && frame.type !== 'assign') this.#people.onFrame(frame);
  }

  #onWelcome(mine: FrameOf<ControlToRunnerFrame, 'welcome'>['sessions'][number] | undefined): void {
    if (mine === undefined) {
      this.abort('unknown_session');
      return;
    }
    this.#isWelcome = true;
    this.core.events.onWelcome(mine.ackedRseq);
    if (!mine.open) {
      this.abort('closed');
      return;
    }
    this.core.uploads.onGrants(mine.grants);
    this.core.ask(mine.desired);
    this.#people.setWatchers(mine.watchers);
    this.#follow();
  }

  abort(why: string): void {
    if (this.core.isOver) {
      this.core.events.giveUp();
      return;
    }
    if (this.#isAborted) return;
    this.#isAborted = true;
    this.core.uploads.close(why);
    void this.end('failed', { code: why, message: 'This life of the session is over.' });
  }

  /** The machine is told to go away: the session goes on elsewhere, unless it was to stop. */
  drain(): void {
    if (this.isEnding) return;
    this.#record({ type: 'runner_draining', why: 'the task was asked to stop' });
    if (this.core.desired.desired === 'stop') this.#stop(DRAIN_MS);
    else this.#leave('drained', DRAIN_MS);
  }

  end(to: 'completed' | 'failed', reason: StateReason, drainMs: number | null = null): Promise<void> {
    this.#ending ??= this.#endOnce(() => this.#finish(to, reason), drainMs);
    return this.#ending;
  }

  /** The epoch ends and the session does not. */
  #leave(how: 'drained' | 'parked', drainMs: number | null = null): void {
    this.#ending ??= this.#endOnce(() => {
      const checkpointKey = this.#checkpointKey;
      if (how === 'drained') this.#record({ type: 'epoch_drained', why: 'asked to', checkpointKey });
      else this.#record({ type: 'session_parked', checkpointKey: checkpointKey ?? '' });
    }, drainMs);
  }

  /** Nothing follows the last word of an epoch. */
  #record(draft: EventDraft): void {
    if (!this.#hasLeft) this.core.record(draft);
  }

  #finish(to: 'completed' | 'failed', reason: StateReason): void {
    const { core } = this;
    if (to === 'failed') core.move({ type: 'FAIL', reason });
    else if (!core.move({ type: 'DONE', reason })) {
      core.move({ type: 'STOP', reason });
      core.move({ type: 'DONE', reason });
    }
  }

  #stop(drainMs: number | null = null): void {
    this.core.move({ type: 'STOP', reason: STOPPED });
    void this.end('completed', STOPPED, drainMs);
  }

  async #endOnce(lastWord: () => void, drainMs: number | null): Promise<void> {
    const { core } = this;
    const { host, chance } = this.#options;
    this.#typing.end();
    await core.freezer.release();
    await host.pause(chance.between(1, this.#isAborted ? 50 : STOP_GRACE_MS / 4));
    host.killCli();
    core.stopMetering();
    if (!this.#isAborted) await this.#storeChunk(true, drainMs ?? END_STORE_MS);
    if (!this.#isAborted) await this.#checkpoint(drainMs ?? END_STORE_MS);
    core.finalTick();
    this.#record({ type: 'workspace_cleaned', tookMs: 3 });
    const lastAckMs = this.#isAborted ? 0 : Math.min(END_LAST_ACK_MS, drainMs ?? END_LAST_ACK_MS);
    core.events.flush();
    await core.events.drained(lastAckMs);
    lastWord();
    this.#hasLeft = true;
    core.events.flush();
    const isDelivered = await core.events.drained(lastAckMs);
    core.dispose(isDelivered);
    this.#options.onEnded();
  }

  async #deliverRest(): Promise<void> {
    const { host } = this.#options;
    host.killCli();
    this.core.dispose(await this.core.events.drained(RESTARTED_LAST_ACK_MS));
    this.#options.onEnded();
  }

  #run(): void {
    this.#follow();
    this.#later();
  }

  #later(): void {
    const { chance, ports } = this.#options;
    ports.clock.after(chance.between(30, chance.is(0.1) ? 30_000 : 4_000), () => this.#act());
  }

  /** What the CLI did since the last look; nothing while it is held. */
  #act(): void {
    if (this.isEnding) return;
    const { ports, assign } = this.#options;
    if (this.core.state !== 'paused_by_human') this.#parkAtMs = ports.clock.monotonicMs() + assign.config.parkAfterMs;
    else if (ports.clock.monotonicMs() >= this.#parkAtMs) {
      this.#leave('parked');
      return;
    }
    const { cli } = this.#options.host;
    if (cli !== null && !cli.isDead && !cli.isFrozen) this.#work(cli);
    if (!this.isEnding) this.#later();
  }

  #work(cli: Cli): void {
    const { host, chance, faults } = this.#options;
    host.checkLease();
    if (this.core.state !== 'running') return;
    host.print(chance.int(1, 4_000));
    if (faults.strikes('clock_skew')) host.skew();
    cli.worked += 1;
    const { drafts, commands, paths } = activity(chance, cli.worked);
    for (let count = 0; count < commands; count += 1) this.core.countCommand();
    this.core.countTouched(paths);
    for (const draft of drafts) this.#record(draft);
    if (chance.is(0.25)) void this.#storeChunk(false, END_STORE_MS);
    if (cli.worked < cli.workPlanned) return;
    if (chance.is(0.15)) {
      this.#record({ type: 'provider_exited', exitCode: 1, signal: null, expected: false });
      void this.end('failed', { code: 'provider_exited', message: 'The CLI ended.' });
    } else if (cli.endsWhenDone) void this.end('completed', { code: 'done', message: 'Everything asked was done.' });
  }

  /** Stores what was printed since the last chunk. */
  async #storeChunk(isUrgent: boolean, limitMs: number): Promise<void> {
    const { core } = this;
    const { host, ports } = this.#options;
    const { nextNumber, storedOffset } = core.transcript;
    const endOffset = host.offset;
    if (endOffset === storedOffset) return;
    core.setTranscript({ nextNumber: nextNumber + 1, storedOffset: endOffset });
    const body = Buffer.from(`${nextNumber} ${storedOffset} ${endOffset}`);
    const late = Promise.withResolvers<null>();
    const cancel = ports.clock.after(limitMs, () => late.resolve(null));
    const stored = await Promise.race([core.uploads.store('transcript', nextNumber, body, isUrgent), late.promise]);
    cancel();
    if (stored?.kind === 'stored') {
      const { key, sha256, sizeBytes } = stored;
      const place = { number: nextNumber, firstOffset: storedOffset, endOffset };
      this.#record({ type: 'transcript_chunk_stored', ...place, key, sizeBytes, sha256 });
    } else this.#record({ type: 'stream_gap', fromOffset: storedOffset, toOffset: endOffset, reason: 'not stored' });
  }

  async #checkpoint(limitMs: number): Promise<void> {
    const { ports } = this.#options;
    this.#checkpoints += 1;
    const body = Buffer.from(`checkpoint ${this.core.assign.epoch} ${this.core.events.nextRseq} ${this.#checkpoints}`);
    const late = Promise.withResolvers<null>();
    const cancel = ports.clock.after(limitMs, () => late.resolve(null));
    const number = this.core.events.nextRseq;
    const stored = await Promise.race([this.core.uploads.store('checkpoint', number, body, true), late.promise]);
    cancel();
    if (stored?.kind !== 'stored') return;
    const { key: checkpointKey, sha256, sizeBytes } = stored;
    this.#checkpointKey = checkpointKey;
    this.#record({ type: 'workspace_checkpointed', checkpointKey, sha256, sizeBytes });
  }

  #follow(): void {
    this.#mustFollow = true;
    if (this.#isFollowing) return;
    this.#isFollowing = true;
    void this.#followAll();
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
