/**
 * The end of a session here, in its order: CLI stopped, last diff, transcript and checkpoint stored, last tick, folders gone,
 * and only then the last event, so that whoever sees it finds everything in place. No step's failure keeps the next from
 * running.
 */
import { rm } from 'node:fs/promises';
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
import type { Hurry } from './hurry.ts';
import { isLeaving, type Leaving, STOPPED } from './leaving.ts';
import type { RuntimePorts } from './ports.ts';
import { checkpointFolder } from './session-checkpoints.ts';
import type { Ending, SessionRuntime } from './session-runtime.ts';

export interface EndOptions {
  readonly ending: Ending | Leaving;
  /** The boot, which returns soon after the session's signal was aborted. */
  readonly booting: Promise<void>;
  /** The epoch is over elsewhere, or may be: nothing runs on, nothing is stored, no state is claimed. */
  readonly isAborted: () => boolean;
  /** Told at any time of the end. */
  readonly hurry: Hurry;
}

class Steps {
  readonly #ports: Pick<RuntimePorts, 'clock' | 'log'>;
  readonly #hurry: Hurry;

  constructor(ports: RuntimePorts, { hurry }: EndOptions) {
    this.#ports = ports;
    this.#hurry = hurry;
  }

  /** Never rejects. */
  async step(
    name: string,
    limitMs: number,
    work: () => Promise<unknown>,
    share: number = DRAIN_STEP_SHARE,
  ): Promise<void> {
    const { clock, log } = this.#ports;
    try {
      const done = work();
      const limited = await this.#hurry.bounded(limitMs, share, (boundMs) => within(clock, boundMs, done));
      if (limited.kind === 'timeout') log.error('a step of the end took too long', { name, limitMs });
    } catch (error) {
      log.error('a step of the end failed', { name, error });
    }
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
  // What the store has not taken by now is told as missing, while something can still be told.
  core.uploads.close('the end could not wait for the object store');
  await steps.step('files', END_STEP_MS, async () => agent.files?.close());
  await steps.step('checkpoints', END_STEP_MS, () => runtime.checkpoints.stop());
  await steps.step('broker', END_STEP_MS, () => agent.stopBroker());
  core.finalTick();
  // The time of an epoch that is over elsewhere is told too, for its bill; what is done here after it is no part of it.
  if (isAborted()) core.close();
  await steps.step('clean', END_STEP_MS, () => clean(runtime, ports));
  const isDelivered = await deliver(runtime, options);
  if (!isDelivered) ports.log[isAborted() ? 'warn' : 'error']('the last events were not acknowledged');
  agent.dispose();
  core.dispose(isDelivered);
};

/** @returns whether everything recorded is stored: in the log, or beside that of an epoch that is over elsewhere */
const deliver = async (runtime: SessionRuntime, { ending, isAborted, hurry }: EndOptions): Promise<boolean> => {
  const { core } = runtime;
  const acknowledged = (share: number): Promise<boolean> =>
    hurry.bounded(END_LAST_ACK_MS, share, (boundMs) => core.events.drained(boundMs));
  // The last event goes alone, so that it and what belongs to it fit into one batch.
  core.events.flush();
  const isDelivered = await acknowledged(DRAIN_STORE_SHARE);
  if (isAborted()) {
    core.close();
    return isDelivered;
  }
  if (!isLeaving(ending)) finish(runtime, ending);
  // Asked while it left: nobody is to start it again only to stop it.
  else if (core.desired.desired === 'stop') finish(runtime, STOPPED);
  else leave(runtime, ending);
  core.events.flush();
  return acknowledged(1);
};

/**
 * A CLI that is held is not let run on for its end, when its session goes on from the moment at which it was held. Without a lease it is not
 * let run on at all, and what could not be killed stays held: another epoch may work in its place.
 */
const stopCli = async (
  { core, agent }: SessionRuntime,
  steps: Steps,
  { ending, isAborted, hurry }: EndOptions,
): Promise<void> => {
  const mayRun = (): boolean => !isAborted() && !core.freezer.reasons.includes('lease_lost');
  if (!mayRun()) await steps.step('kill at once', END_STEP_MS, () => agent.terminal.kill('at_once'));
  else if (!isLeaving(ending) || !core.freezer.isHeld) {
    await steps.step('thaw', END_STEP_MS, () => core.freezer.release());
    const graceMs = hurry.boundMs(STOP_GRACE_MS, DRAIN_STEP_SHARE);
    await steps.step('stop', graceMs + END_STEP_MS, async () => agent.provider?.stop({ graceMs }));
  }
  // Also where the adapter could not: no process of the session outlives it.
  await steps.step('kill', END_STEP_MS, () => agent.terminal.kill(mayRun() ? undefined : 'at_once'));
  await steps.step('release', END_STEP_MS, async () => agent.terminal.process?.release());
};

const storeLast = async (
  { agent, checkpoints }: SessionRuntime,
  steps: Steps,
  { ending, isAborted, hurry }: EndOptions,
): Promise<void> => {
  if (isAborted()) return;
  const step = (name: string, work: () => Promise<unknown>) => steps.step(name, END_STORE_MS, work, DRAIN_STORE_SHARE);
  // Before parking it was made while the CLI was held.
  const checkpoint = async (): Promise<void> => {
    if (ending.to === 'drained') await step('checkpoint', () => checkpoints.now());
  };
  const diff = () => step('diff', async () => agent.files?.finish());
  const transcript = () => step('transcript', async () => agent.transcript?.end());
  if (hurry.isOn) {
    await Promise.all([checkpoint(), diff(), transcript()]);
    return;
  }
  await diff();
  await transcript();
  await checkpoint();
};

const leave = ({ core, checkpoints }: SessionRuntime, ending: Leaving): void => {
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
  if (!runtime.core.isOver) runtime.core.record({ type: 'workspace_cleaned', tookMs });
};
