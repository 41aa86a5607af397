/**
 * The end of a session in its order: CLI stopped, last diff and last transcript stored, last tick, folders gone, and only
 * then the final state, so that whoever sees it finds everything in place. No step's failure keeps the next from running.
 */
import { rm } from 'node:fs/promises';
import {
  DRAIN_STEP_SHARE,
  END_BOOT_RETURN_MS,
  END_LAST_ACK_MS,
  END_STEP_MS,
  END_STORE_MS,
  STOP_GRACE_MS,
} from '../../../shared/limits.ts';
import { removeWorkspace } from '../workspace/cleanup.ts';
import { within } from './boot-limit.ts';
import { privateDirOf } from './cli-life.ts';
import type { RuntimePorts } from './ports.ts';
import type { Ending, SessionRuntime } from './session-runtime.ts';

export interface EndOptions extends Ending {
  /** The boot, which returns soon after the session's signal was aborted. */
  readonly booting: Promise<void>;
  /** Nobody takes events any more: kill, clean up, go. */
  readonly isAborted: () => boolean;
  /** Everything must be over after this long; `null`: no hurry. */
  readonly drainMs: number | null;
}

export const endSession = async (runtime: SessionRuntime, ports: RuntimePorts, options: EndOptions): Promise<void> => {
  const { core, agent } = runtime;
  const { clock, log } = ports;
  const { drainMs, isAborted } = options;
  const attempt = async (name: string, limitMs: number, work: () => Promise<unknown>): Promise<void> => {
    const boundMs = drainMs === null ? limitMs : Math.min(limitMs, drainMs * DRAIN_STEP_SHARE);
    try {
      const limited = await within(clock, boundMs, work());
      if (limited.kind === 'timeout') log.error('a step of the end took too long', { name, boundMs });
    } catch (error) {
      log.error('a step of the end failed', { name, error });
    }
  };

  await attempt('boot', END_BOOT_RETURN_MS, () => options.booting);
  await attempt('thaw', END_STEP_MS, () => core.freezer.release());
  const graceMs = isAborted() ? 0 : Math.min(STOP_GRACE_MS, (drainMs ?? Number.POSITIVE_INFINITY) * DRAIN_STEP_SHARE);
  await attempt('stop', graceMs + END_STEP_MS, async () => agent.provider?.stop({ graceMs }));
  // Also where the adapter could not: no process of the session outlives it.
  await attempt('kill', END_STEP_MS, () => agent.terminal.kill());
  await attempt('release', END_STEP_MS, async () => agent.terminal.process?.release());
  core.stopMetering();
  agent.live?.flushNow();
  if (!isAborted()) {
    await attempt('diff', END_STORE_MS, async () => agent.files?.finish());
    await attempt('transcript', END_STORE_MS, async () => agent.transcript?.end());
  }
  await attempt('files', END_STEP_MS, async () => agent.files?.close());
  await attempt('broker', END_STEP_MS, () => agent.stopBroker());
  core.finalTick();
  await attempt('clean', END_STEP_MS, () => clean(runtime, ports));
  const lastAckMs = isAborted() ? 0 : Math.min(END_LAST_ACK_MS, drainMs ?? END_LAST_ACK_MS);
  // The final state goes alone, so that it and `session_ended` fit into one batch.
  core.events.flush();
  await core.events.drained(lastAckMs);
  finish(runtime, options);
  core.events.flush();
  const isDelivered = await core.events.drained(lastAckMs);
  // After an abort nobody takes them: the control plane has ended this life of the session itself.
  if (!isDelivered && !isAborted()) log.error('the last events were not acknowledged');
  agent.dispose();
  core.dispose(isDelivered);
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
  await rm(privateDirOf(ports), { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  await removeWorkspace(runtime.workspaceRoot, runtime.core.assign.sessionId);
  const tookMs = Math.round(ports.clock.monotonicMs() - startedMs);
  runtime.core.record({ type: 'workspace_cleaned', tookMs });
};
