/** What a session's checkpoints are made of, its clone, its conversation and what was asked of it; and what parking needs of it. */
import { join } from 'node:path';
import { PROVIDERS } from '../../../shared/providers.ts';
import { makeCheckpoint } from '../checkpoint/make-checkpoint.ts';
import { sessionPaths } from '../workspace/layout.ts';
import { Checkpoints, type MadeCheckpoint } from './checkpoints.ts';
import { privateDirOf } from './cli-life.ts';
import { Parking } from './parking.ts';
import type { RuntimeOptions, SessionRuntime } from './session-runtime.ts';

/** Private folder of archives and what is unpacked of them. */
export const checkpointFolder = (stateDir: string): string => join(stateDir, 'checkpoint');

const make = async (
  runtime: SessionRuntime,
  { assign, ports, config }: RuntimeOptions,
  signal: AbortSignal,
): Promise<MadeCheckpoint> => {
  const { sessionId, epoch, config: session } = assign;
  const { workspace, scratch } = sessionPaths(config.WORKSPACE_ROOT, sessionId);
  const { conversations } = ports.adapters[session.provider];
  const agentFolder = runtime.agent.saved?.workspace ?? workspace;
  return makeCheckpoint({
    ...{
      sessionId,
      epoch,
      provider: session.provider,
      baseCommit: runtime.core.baseCommit,
      workspace,
      scratch,
      signal,
    },
    progress: runtime.prompts.progress(),
    conversations: conversations?.folder({ privateDir: privateDirOf(ports), workspace: agentFolder }) ?? null,
    inherited: ports.gitEnvironment,
    parent: checkpointFolder(ports.stateDir),
  });
};

export const sessionCheckpoints = (runtime: SessionRuntime, options: RuntimeOptions): Checkpoints => {
  const { assign, ports, saved } = options;
  const { core } = runtime;
  const checkpoints = new Checkpoints({
    clock: ports.clock,
    log: ports.log,
    hasTurns: PROVIDERS[assign.config.provider].capabilities.gate !== 'not_needed',
    make: (signal) => make(runtime, options, signal),
    store: (number, file) => {
      core.tickEarly();
      return core.uploads.store('checkpoint', number, file, true);
    },
    forget: (number) => core.uploads.forget('checkpoint', number, 'a later checkpoint takes its place'),
    takeNumber: () => core.takeNumber(),
    record: (drafts) => core.commit(drafts),
    latestKey: saved?.checkpointKey ?? assign.checkpoint?.key ?? null,
  });
  // After a crash: a CLI that takes prompts has worked.
  if (saved && ['running', 'waiting_for_approval', 'paused_by_human'].includes(saved.state)) checkpoints.start();
  return checkpoints;
};

export const sessionParking = (runtime: SessionRuntime, { assign, ports }: RuntimeOptions): Parking =>
  new Parking({
    clock: ports.clock,
    parkAfterMs: assign.config.parkAfterMs,
    state: () => runtime.core.state,
    isAskedOn: () => runtime.core.state === 'paused_by_human' && runtime.core.desired.desired === 'run',
    checkpoint: () => runtime.checkpoints.now(),
    park: (checkpointKey) => void runtime.end({ to: 'parked', checkpointKey }),
    onSilenceCounts: (counts) => runtime.lifetime.setSilenceCounts(counts),
  });
