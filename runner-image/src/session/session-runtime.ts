/** One session's life on this runner: boot, run, follow what people ask, end in order. The rules stand in the modules it joins. */
import type { Assign, ControlToRunnerFrame, FrameOf, RunnerFrame } from '../../../shared/frames.ts';
import { RESTARTED_LAST_ACK_MS } from '../../../shared/limits.ts';
import type { StateReason, TerminalSize } from '../../../shared/session.ts';
import type { ProviderEvent, SavedProvider } from '../adapters/contract.ts';
import type { RunnerConfig } from '../config.ts';
import { Agent } from './agent.ts';
import { bootSession } from './boot.ts';
import type { Checkpoints } from './checkpoints.ts';
import { takeControlFrame } from './control-frames.ts';
import { DesiredFollower } from './desired-follower.ts';
import { endSession } from './ending.ts';
import { Hurry } from './hurry.ts';
import { isOverElsewhere, type Leaving, STOPPED, savedEnding } from './leaving.ts';
import type { Lifetime } from './lifetime.ts';
import type { Parking } from './parking.ts';
import { People } from './people.ts';
import type { RuntimePorts } from './ports.ts';
import { PromptKeeper } from './prompt-keeper.ts';
import { eventOf } from './provider-events.ts';
import { endingOfExit, reactToProvider } from './provider-reactions.ts';
import type { SavedParts } from './saved-parts.ts';
import type { SavedSession } from './saved-session.ts';
import { sessionCheckpoints, sessionParking } from './session-checkpoints.ts';
import { SessionCore } from './session-core.ts';
import { sessionLifetime } from './session-lifetime.ts';
import { Typing } from './typing.ts';

export interface RuntimeOptions {
  readonly assign: Omit<Assign, 'type'>;
  readonly ports: RuntimePorts;
  readonly config: RunnerConfig;
  readonly saved: SavedSession | null;
}

export interface Ending {
  readonly to: 'completed' | 'failed';
  readonly reason: StateReason | null;
}

export class SessionRuntime {
  readonly core: SessionCore;
  readonly agent: Agent;
  readonly people: People;
  readonly typing: Typing;
  readonly lifetime: Lifetime;
  readonly desired: DesiredFollower;
  readonly checkpoints: Checkpoints;
  readonly prompts: PromptKeeper;
  /** Of its end, also of one that is under way. */
  readonly hurry: Hurry;
  readonly #parking: Parking;
  readonly #options: RuntimeOptions;
  readonly #abort = new AbortController();
  #booting: Promise<void> = Promise.resolve();
  #ending: Promise<void> | null = null;
  #isAborted = false;
  /** Nobody keeps its events any more, on no line. */
  #isUnwanted = false;
  #plannedEnd: Ending | Leaving | null;
  readonly #ended = Promise.withResolvers<void>();

  constructor(options: RuntimeOptions) {
    const { assign, ports, config, saved } = options;
    const { sessionId, epoch, capability } = assign;
    const { clock, log } = ports;
    this.#options = options;
    this.hurry = new Hurry(clock);
    this.#plannedEnd = saved?.ending ?? saved?.leaving ?? null;
    this.prompts = new PromptKeeper(this, saved);
    const send = (frame: string): void => void ports.send(frame);
    this.agent = new Agent({
      ...{ assign, ports, config },
      saved: saved?.agent ?? null,
      onEvents: (events, known) => this.#onProviderEvents(events, known),
      onOutput: () => this.lifetime.active(),
      onExit: (exit) => this.#onProviderExit(exit),
      onBroken: (error) => {
        log.error('the terminal stream is broken', { error });
        const message = 'The terminal could not be recorded any more.';
        void this.end({ to: 'failed', reason: { code: 'terminal_broken', message, hint: 'Is the disk full?' } });
      },
    });
    this.core = new SessionCore({
      ...{ assign, ports, config, saved },
      headOffset: () => this.agent.headOffset,
      onAbort: (why) => this.abort(why),
      onMoved: () => this.#parking.stateChanged(),
      parts: () => this.#parts(),
    });
    this.desired = new DesiredFollower(this);
    this.typing = new Typing({
      ...{ sessionId, epoch, capability, clock, log, send },
      record: (draft) => this.core.record(draft),
      save: () => this.core.save(),
      lanes: saved?.lanes ?? [],
      apiInputs: saved?.apiInputs ?? [],
      onTyped: ({ source, controlTerm }) => {
        this.agent.live?.noteInput();
        this.people.noteTyped(source, controlTerm);
        this.lifetime.progressed();
      },
    });
    this.people = new People({
      typing: this.typing,
      typedInTerm: saved?.typedInTerm ?? null,
      onWatched: (isWatched) => {
        this.core.events.setWatched(isWatched);
        this.agent.setWatched(isWatched);
      },
      onSize: (size) => this.#resize(size),
    });
    this.lifetime = sessionLifetime(this, options, () => this.#onDone());
    this.checkpoints = sessionCheckpoints(this, options);
    this.#parking = sessionParking(this, options);
    try {
      this.core.begin();
    } catch (error) {
      // Whoever tries again opens the same files: nothing of this one may run on.
      this.lifetime.stop();
      this.core.dispose(false);
      throw error;
    }
    this.#parking.stateChanged();
  }

  /** Settles when nothing of the session is left here but what could not be delivered. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get options(): RuntimeOptions {
    return this.#options;
  }

  get workspaceRoot(): string {
    return this.#options.config.WORKSPACE_ROOT;
  }

  get isEnding(): boolean {
    return this.#ending !== null;
  }

  /** Its epoch is over elsewhere or its lease is lost for good, and nobody keeps what it recorded, now or on a later line. */
  get isUnwanted(): boolean {
    return this.#isUnwanted || (this.#isAborted && this.core.events.isBroken);
  }

  /** What `hello` says about this session. */
  hello(): FrameOf<RunnerFrame, 'hello'>['sessions'][number] {
    const { sessionId, epoch } = this.#options.assign;
    return {
      sessionId,
      epoch,
      nextRseq: this.core.events.nextRseq,
      head: this.agent.headOffset,
      desiredRev: this.core.desired.rev,
      viewersRev: this.people.viewersRev,
      ...(this.core.isJournalLost ? { journalLost: true } : {}),
    };
  }

  /** Boots the session. Never rejects: a failure ends the session with its reason. */
  start(): void {
    this.#booting = bootSession(this, this.#options).catch((error: unknown) => {
      this.#options.ports.log.error('the start failed unexpectedly', { error });
      this.failBoot({
        code: 'internal',
        message: 'The session could not be started.',
        hint: 'Look at the runner log.',
      });
    });
  }

  /** A restarted runner takes its session up; an end that is asked for meanwhile waits for it, as it waits for a boot. */
  takeUp(work: Promise<void>): void {
    this.#booting = work;
  }

  /** Called by the boot; returns at once, since the end waits for the boot to return. */
  failBoot(reason: StateReason): void {
    void this.end({ to: 'failed', reason });
  }

  /** The CLI takes prompts from here on. */
  becomeRunning(): void {
    if (!this.core.move({ type: 'READY' })) return;
    this.checkpoints.start();
    this.openKeyboard();
    this.desired.follow();
  }

  /** A restarted runner goes on with its CLI. */
  resumeRunning(): void {
    this.openKeyboard();
    this.typing.resume();
    this.desired.follow();
    this.lifetime.progressed();
  }

  /** A restarted runner whose session had ended: only its last events may be missing. */
  deliverRest(): void {
    const { events } = this.core;
    const acknowledged = this.hurry.bounded(RESTARTED_LAST_ACK_MS, 1, (boundMs) => events.drained(boundMs));
    this.#ending ??= acknowledged.then((isDelivered) => {
      this.core.dispose(isDelivered);
      this.#ended.resolve();
    });
  }

  onFrame(frame: ControlToRunnerFrame): void {
    takeControlFrame(this, this.#options, frame);
  }

  onDown(): void {
    this.core.events.onDown();
  }

  /** Asked to stop: `stopping` first, then the end in order. */
  async stop(ending: Ending = STOPPED): Promise<void> {
    this.core.move({ type: 'STOP', reason: ending.reason });
    await this.end(ending);
  }

  /** The host is told to go away: everything within `drainMs`. */
  async drain(drainMs: number): Promise<void> {
    this.hurry.tell(drainMs);
    this.core.record({ type: 'runner_draining', why: 'the task was asked to stop' });
    const isAskedToStop = this.core.desired.desired === 'stop' || this.core.state === 'stopping';
    await (isAskedToStop ? this.stop() : this.end({ to: 'drained', why: 'the runner was asked to stop' }));
  }

  /** What cannot be done here may be done elsewhere: the session goes on in another epoch. */
  giveBack(why: string): void {
    void this.end({ to: 'drained', why: why.slice(0, 200) });
  }

  /** From here on the session counts as it is now, whatever its CLI does at its end. Resolves when prompts on their way have arrived. */
  freezeProgress(): Promise<void> {
    return this.prompts.freeze();
  }

  /** The epoch is over elsewhere or the lease is lost for good: kill, clean up, claim nothing. */
  abort(why: string): void {
    const { core } = this;
    const { log } = this.#options.ports;
    // Nothing runs any more that would need a lease: what is left to say is said when there is a line.
    if (why === 'lease_lost' && core.isOver) return;
    if (!this.#isAborted && !core.isOver) {
      log.warn('the session is given up', { why });
      core.uploads.close(why);
      // Whatever its end waits for: from this moment on another epoch may work in its place. The end kills again.
      this.agent.terminal
        .kill('at_once')
        .catch((error: unknown) => log.error('the CLI could not be killed', { error }));
    }
    this.#isAborted = true;
    this.#isUnwanted ||= !isOverElsewhere(why) && why !== 'lease_lost';
    if (isOverElsewhere(why)) core.events.becomeLate();
    else core.events.giveUp();
    void this.end({ to: 'failed', reason: { code: why, message: 'This life of the session is over.' } });
  }

  /** Ends once; later calls wait for the first. */
  end(ending: Ending | Leaving): Promise<void> {
    this.#ending ??= this.#endOnce(ending);
    return this.#ending;
  }

  async #endOnce(ending: Ending | Leaving): Promise<void> {
    this.#plannedEnd = ending;
    this.core.save();
    this.#abort.abort(new Error('the session ends'));
    this.typing.end();
    this.lifetime.stop();
    this.#parking.stop();
    this.checkpoints.pause();
    await endSession(this, this.#options.ports, {
      ending,
      booting: this.#booting,
      isAborted: () => this.#isAborted,
      hurry: this.hurry,
    });
    this.#ended.resolve();
  }

  openKeyboard(): void {
    if (this.isEnding || this.core.state !== 'running') return;
    this.typing.setKeyboard({
      type: (data, once) => this.agent.terminal.type(data, once),
      promptsFull: (text) => this.prompts.full(text),
      submit: (text) => this.prompts.submit(text),
    });
  }

  #parts(): SavedParts {
    return {
      ...savedEnding(this.#plannedEnd),
      ...this.prompts.saved(),
      ...this.typing.saved(),
      typedInTerm: this.people.typedInTerm,
      progress: this.lifetime.saved(),
      agent: this.agent.saved,
      checkpointKey: this.checkpoints.latestKey,
    };
  }

  #onProviderEvents(events: readonly ProviderEvent[], saved: SavedProvider): void {
    const { provider } = this.#options.assign.config;
    const { isolation } = this.#options.ports;
    this.agent.remember({ provider: saved });
    const drafts = events.flatMap((event) => eventOf(event, { provider, isolation }) ?? []);
    const [ending] = events.flatMap((event) => reactToProvider(this, provider, event) ?? []);
    const again = events.some(({ type }) => type === 'TURN_CUT') ? this.prompts.askToGoOn() : null;
    this.core.commit(drafts);
    if (events.some(({ type }) => type === 'TURN_FINISHED')) this.checkpoints.turnEnded();
    if (ending) void this.end(ending);
    else if (again) again().catch((error: unknown) => this.#options.ports.log.warn('not typed', { error }));
  }

  #onProviderExit(exit: { exitCode: number | null; signal: number | null }): void {
    // At its start the boot tells why; at its end the exit was asked for.
    if (this.isEnding || this.core.state === 'starting_provider') return;
    const { provider } = this.#options.assign.config;
    void this.end(endingOfExit(exit, { provider, isLed: this.people.isLed, lastScreen: this.agent.screenText() }));
  }

  #onDone(): void {
    if (this.isEnding || this.core.state !== 'running') return;
    void this.end({ to: 'completed', reason: { code: 'done', message: 'Everything asked was done.' } });
  }

  #resize(size: TerminalSize): void {
    const changed = this.agent.resize(size);
    if (changed) this.core.record({ type: 'terminal_resized', ...changed });
  }
}
