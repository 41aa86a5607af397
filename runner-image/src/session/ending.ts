/**
 * The end of a session here, in its order: CLI stopped, last diff, transcript and checkpoint stored, last tick, folders gone,
 * and only then the last event, so that whoever sees it finds everything in place. No step's failure keeps the next from
 * running.
 */
import { rm } from 'node:fs/promises';
import type { Clock } from '../../../shared/clock.ts';
import {
  DRAIN_STEP_SHARE,
  DRAIN_STORE_SHARE,
  END_BOOT_RETURN_MS,
  END_LAST_ACK_MS,
  END_PROMPTS_MS,
  END_STEP_MS,
  END_STORE_MS,
  STOP_GRACE_MS,
} from '../../../shared/limits.ts';
import { removeWorkspace } from '../workspace/cleanup.ts';
import { isOfLaterEpoch } from '../workspace/lease.ts';
import { within } from './boot-limit.ts';
import { privateDirOf } from './cli-life.ts';
import { isLeaving, type Leaving, STOPPED } from './leaving.ts';
import type { RuntimePorts } from './ports.ts';
import { checkpointFolder } from './session-checkpoints.ts';
import type { Ending, SessionRuntime } from './session-runtime.ts';

export interface EndOptions {
  readonly ending: Ending | Leaving;
  /** The boot, which returns soon after the session's signal was aborted. */
  readonly booting: Promise<void>;
  /** Nobody takes events any more: kill, clean up, go. */
  readonly isAborted: () => boolean;
  /** When everything must be over (monotonic); `null`: no hurry. Told at any time of the end. */
  readonly untilMs: () => number | null;
}

/** How long something may take: its own limit, and in a hurry a share of what is left, so that all of it comes in time. */
export const boundOf = (limitMs: number, share: number, untilMs: number | null, nowMs: number): number =>
  untilMs === null ? limitMs : Math.max(1, Math.min(limitMs, (untilMs - nowMs) * share));

class Steps {
  readonly #clock: Clock;
  readonly #ports: Pick<RuntimePorts, 'log'>;
  readonly #options: EndOptions;

  constructor(ports: RuntimePorts, options: EndOptions) {
    this.#clock = ports.clock;
    this.#ports = ports;
    this.#options = options;
  }

  boundMs(limitMs: number, share = DRAIN_STEP_SHARE): number {
    return boundOf(limitMs, share, this.#options.untilMs(), this.#clock.monotonicMs());
  }

  /** Never rejects. */
  async attempt(name: string, boundMs: number, work: () => Promise<unknown>): Promise<void> {
    const { log } = this.#ports;
    try {
      const limited = await within(this.#clock, boundMs, work());
      if (limited.kind === 'timeout') log.error('a step of the end took too long', { name, boundMs });
    } catch (error) {
      log.error('a step of the end failed', { name, error });
    }
  }

  async step(name: string, limitMs: number, work: () => Promise<unknown>): Promise<void> {
    await this.attempt(name, this.boundMs(limitMs), work);
  }
}

export const endSession = async (runtime: SessionRuntime, ports: RuntimePorts, options: EndOptions): Promise<void> => {
  const { core, agent } = runtime;
  const steps = new Steps(ports, options);
  const { isAborted, ending } = options;
  await steps.step('boot', END_BOOT_RETURN_MS, () => options.booting);
  if (ending.to === 'drained') await steps.step('prompts', END_PROMPTS_MS, () => runtime.freezeProgress());
  await stopCli(runtime, steps, options);
  core.stopMetering();
  agent.live?.flushNow();
  await storeLast(runtime, steps, options);
  await steps.step('files', END_STEP_MS, async () => agent.files?.close());
  await steps.step('checkpoints', END_STEP_MS, () => runtime.checkpoints.stop());
  await steps.step('broker', END_STEP_MS, () => agent.stopBroker());
  core.finalTick();
  await steps.step('clean', END_STEP_MS, () => clean(runtime, ports));
  const lastAckMs = (share: number) => (isAborted() ? 0 : steps.boundMs(END_LAST_ACK_MS, share));
  // The last event goes alone, so that it and what belongs to it fit into one batch.
  core.events.flush();
  await core.events.drained(lastAckMs(DRAIN_STORE_SHARE));
  if (!isLeaving(ending)) finish(runtime, ending);
  // Asked while it left: nobody is to start it again only to stop it.
  else if (core.desired.desired === 'stop') finish(runtime, STOPPED);
  else leave(runtime, ending, isAborted());
  core.events.flush();
  const isDelivered = await core.events.drained(lastAckMs(1));
  // After an abort nobody takes them: the control plane has ended this life of the session itself.
  if (!isDelivered && !isAborted()) ports.log.error('the last events were not acknowledged');
  agent.dispose();
  core.dispose(isDelivered);
};

/** A CLI that is held is not let run on for its end, when its session goes on from the moment at which it was held. */
const stopCli = async (
  { core, agent }: SessionRuntime,
  steps: Steps,
  { ending, isAborted }: EndOptions,
): Promise<void> => {
  if (!isLeaving(ending) || !core.freezer.isHeld) {
    await steps.step('thaw', END_STEP_MS, () => core.freezer.release());
    const graceMs = isAborted() ? 0 : steps.boundMs(STOP_GRACE_MS);
    await steps.step('stop', graceMs + END_STEP_MS, async () => agent.provider?.stop({ graceMs }));
  }
  // Also where the adapter could not: no process of the session outlives it.
  await steps.step('kill', END_STEP_MS, () => agent.terminal.kill());
  await steps.step('release', END_STEP_MS, async () => agent.terminal.process?.release());
};

const storeLast = async (
  { agent, checkpoints }: SessionRuntime,
  steps: Steps,
  { ending, isAborted, untilMs }: EndOptions,
): Promise<void> => {
  if (isAborted()) return;
  const boundMs = steps.boundMs(END_STORE_MS, DRAIN_STORE_SHARE);
  // Before parking it was made while the CLI was held.
  const checkpoint = async (): Promise<void> => {
    if (ending.to === 'drained') await steps.attempt('checkpoint', boundMs, () => checkpoints.now());
  };
  const diff = () => steps.attempt('diff', boundMs, async () => agent.files?.finish());
  const transcript = () => steps.attempt('transcript', boundMs, async () => agent.transcript?.end());
  if (untilMs() !== null) {
    await Promise.all([checkpoint(), diff(), transcript()]);
    return;
  }
  await diff();
  await transcript();
  await checkpoint();
};

const leave = ({ core, checkpoints }: SessionRuntime, ending: Leaving, isAborted: boolean): void => {
  if (isAborted) return;
  if (ending.to === 'drained')
    core.leave({ type: 'epoch_drained', why: ending.why, checkpointKey: checkpoints.latestKey });
  else core.leave({ type: 'session_parked', checkpointKey: ending.checkpointKey });
};

/** The final state. What ends as completed from a state that cannot was stopped while it started or waited. */
const finish = ({ core }: SessionRuntime, { to, reason }: Ending): void => {
  if (to === 'failed') {
    core.move({ type: 'FAIL', reason: reason ?? { code: 'failed', message: 'The session failed.' } });
    return;
  }
  if (core.move({ type: 'DONE', reason })) return;
  core.move({ type: 'STOP', reason });
  core.move({ type: 'DONE', reason });
};

const clean = async (runtime: SessionRuntime, ports: RuntimePorts): Promise<void> => {
  const startedMs = ports.clock.monotonicMs();
  const { sessionId, epoch } = runtime.core.assign;
  for (const folder of [privateDirOf(ports), checkpointFolder(ports.stateDir)])
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  const root = runtime.workspaceRoot;
  if (await isOfLaterEpoch(root, { sessionId, epoch })) return;
  await removeWorkspace(root, sessionId);
  const tookMs = Math.round(ports.clock.monotonicMs() - startedMs);
  runtime.core.record({ type: 'workspace_cleaned', tookMs });
};
