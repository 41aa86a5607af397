/** The runner: dials, takes one session, serves it to its end. main.ts gives it the real world. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Assign, ControlToRunnerFrame, FrameOf } from '../../shared/frames.ts';
import { DRAIN_MS, DRAIN_RESERVE_MS } from '../../shared/limits.ts';
import { METRICS } from '../../shared/metrics.ts';
import type { RunnerConfig } from './config.ts';
import type { HealthState } from './health/health-server.ts';
import { knownClis } from './session/known-clis.ts';
import type { RuntimePorts } from './session/ports.ts';
import { resumeSession } from './session/resume.ts';
import { loadSession } from './session/saved-session.ts';
import { SessionRuntime } from './session/session-runtime.ts';
import { Connection } from './transport/connection.ts';
import { openDialStore } from './transport/dial-store.ts';
import type { OpenSocket } from './transport/socket.ts';
import { renewLease } from './workspace/lease.ts';

export interface RunnerOptions {
  readonly config: RunnerConfig;
  readonly openSocket: OpenSocket;
  /** Everything but what the runner itself provides. */
  readonly ports: Omit<RuntimePorts, 'send' | 'bufferedBytes' | 'stateDir' | 'onTick'>;
}

export class Runner {
  readonly #options: RunnerOptions;
  readonly #connection: Connection;
  readonly #ports: RuntimePorts;
  readonly #done = Promise.withResolvers<number>();
  #runtime: SessionRuntime | null = null;
  #welcome: FrameOf<ControlToRunnerFrame, 'welcome'> | null = null;
  #framesIn = 0;
  #framesOut = 0;
  #dial = 0;
  #ups = 0;

  constructor(options: RunnerOptions) {
    const { config, ports } = options;
    const { clock, random, log } = ports;
    this.#options = options;
    const stateDir = config.VILLAGE_STATE_DIR;
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    this.#ports = {
      ...ports,
      stateDir,
      send: (frame) => {
        this.#framesOut += 1;
        return this.#connection.send(frame) === 'sent';
      },
      bufferedBytes: () => this.#connection.bufferedBytes,
      onTick: () => this.#onTick(),
    };
    this.#connection = new Connection({
      ...{ openSocket: options.openSocket, clock, random, log },
      dialStore: openDialStore(join(stateDir, 'dial.json'), config.CONTROL_PLANE_TOKEN, random),
      hello: () => ({
        runnerId: config.RUNNER_ID,
        runnerVersion: config.RUNNER_VERSION,
        buildId: config.VILLAGE_BUILD_ID,
        clis: knownClis(config),
        isolation: ports.isolation,
        capacity: 1,
        draining: false,
        sessions: this.#runtime ? [this.#runtime.hello()] : [],
      }),
      isAssigned: () => this.#runtime !== null,
      onFrame: (frame) => this.#onFrame(frame),
      onUp: (dial) => {
        this.#dial = dial;
        this.#ups += 1;
        log.info('connected', { dial });
      },
      onDown: () => this.#runtime?.onDown(),
      onRefused: (status) => this.#onRefused(status),
    });
  }

  /** Resolves with the exit code: 0 when nothing is left to do, also for a session that failed. */
  run(): Promise<number> {
    const saved = loadSession(join(this.#ports.stateDir, 'session.json'));
    if (saved) {
      const runtime = new SessionRuntime({ ...this.#fixed(), assign: { ...saved, ranMs: 0 }, saved });
      this.#adopt(runtime);
      resumeSession(runtime, this.#ports, saved);
    }
    this.#connection.start();
    return this.#done.promise;
  }

  /** SIGTERM: the session ends in order and in time, then the runner. */
  drain(): void {
    const { log } = this.#options.ports;
    log.info('draining');
    if (this.#runtime) void this.#runtime.drain(DRAIN_MS - DRAIN_RESERVE_MS);
    else this.#finish(0);
  }

  health(): HealthState {
    return {
      isReady: this.#runtime !== null && !this.#runtime.isEnding,
      isConnected: this.#connection.isUp,
      state: this.#runtime?.core.state ?? null,
      counters: {
        frames_in_total: this.#framesIn,
        frames_out_total: this.#framesOut,
        dials_total: this.#dial,
        batches_acked_total: this.#metrics.RunnerBatchesAcked,
        terminal_bytes_total: this.#metrics.RunnerTerminalBytes,
        reconnects_total: this.#metrics.RunnerReconnects,
      },
    };
  }

  get #metrics() {
    return {
      [METRICS.runnerBatchesAcked.name]: this.#runtime?.core.events.batchesAcked ?? 0,
      [METRICS.runnerTerminalBytes.name]: this.#runtime?.agent.headOffset ?? 0,
      [METRICS.runnerReconnects.name]: Math.max(0, this.#ups - 1),
    };
  }

  #onTick(): void {
    const { config, ports } = this.#options;
    if (config.METRICS_ENABLED) ports.log.info('metrics', { metrics: this.#metrics });
    this.#renewLease();
  }

  #fixed() {
    return { ports: this.#ports, config: this.#options.config };
  }

  #onFrame(frame: ControlToRunnerFrame): void {
    this.#framesIn += 1;
    const { log, clock } = this.#options.ports;
    switch (frame.type) {
      case 'assign':
        this.#onAssign(frame);
        return;
      case 'ping':
        this.#connection.send(JSON.stringify({ type: 'pong', ts: clock.nowMs() }));
        return;
      case 'pong':
      case 'runner_desired':
        return;
      case 'error':
        log.warn('the control plane answered with an error', { code: frame.code, answer: frame.message });
        return;
      case 'welcome':
        this.#welcome = frame;
        this.#runtime?.onFrame(frame);
        return;
      default:
        this.#runtime?.onFrame(frame);
    }
  }

  #onAssign({ type: _type, checkpoint: _checkpoint, ...assign }: Assign): void {
    if (this.#runtime) return;
    const { log } = this.#options.ports;
    log.info('assigned', { sessionId: assign.sessionId, epoch: assign.epoch, provider: assign.config.provider });
    const runtime = new SessionRuntime({ ...this.#fixed(), assign, saved: null });
    this.#adopt(runtime);
    const { RUNNER_ID: runnerId, RUNNER_VERSION: runnerVersion } = this.#options.config;
    runtime.core.record({ type: 'session_assigned', runnerId, runnerVersion, dial: this.#dial });
    runtime.start();
    // A welcome that came before its session was known opens the stream of events now.
    if (this.#connection.isUp && this.#welcome) runtime.onFrame(this.#welcome);
  }

  #adopt(runtime: SessionRuntime): void {
    this.#runtime = runtime;
    void runtime.ended.then(() => this.#finish(0));
  }

  #onRefused(status: number): void {
    this.#options.ports.log.warn('the credential is refused', { status });
    if (this.#runtime) this.#runtime.abort('credential_refused');
    else this.#finish(0);
  }

  #renewLease(): void {
    const sessionId = this.#runtime?.core.assign.sessionId;
    if (sessionId === undefined) return;
    const { config, ports } = this.#options;
    const lease = { sessionId, runnerId: config.RUNNER_ID, renewedAtMs: ports.clock.nowMs() };
    renewLease(config.WORKSPACE_ROOT, lease).catch((error: unknown) =>
      ports.log.warn('the lease of the workspace could not be renewed', { error }),
    );
  }

  #finish(exitCode: number): void {
    this.#connection.close();
    // The journal of a session that could not be delivered goes too: a hosted task's disk dies with it anyway.
    rmSync(this.#ports.stateDir, { recursive: true, force: true });
    this.#done.resolve(exitCode);
  }
}
