/** Gives an open epoch a runner. The session exists before anything is asked for, so no crash leaves a runner that nobody knows. */
import { deriveStartToken } from '../runners/runner-credentials.ts';
import type { AppendPorts } from '../streams/append-events.ts';
import { closeEpoch } from './close-epoch.ts';
import type { TaskLauncher } from './ports.ts';
import { metaKey, type SessionMeta, type SessionRef } from './session-store.ts';
import { formatTaskOwner } from './task-owner.ts';

export interface PlacePorts extends AppendPorts {
  readonly tasks: TaskLauncher;
  readonly signingKey: () => Promise<Uint8Array>;
  readonly publicUrl: string;
}

export type PlaceResult = 'placed' | 'queued' | 'refused';

/** Asks ECS for the task; a repeat with the same token and parameters is the same task. A refusal closes the epoch with its reason. */
export const placeEpoch = async (ports: PlacePorts, ref: SessionRef, meta: SessionMeta): Promise<PlaceResult> => {
  const { epoch } = meta;
  const result = await ports.tasks.launch({
    clientToken: `${ref.sessionId}#${epoch}`,
    startedBy: formatTaskOwner({ ...ref, epoch }),
    taskDefinition: meta.taskDefinition,
    environment: {
      CONTROL_PLANE_URL: ports.publicUrl,
      CONTROL_PLANE_TOKEN: deriveStartToken(await ports.signingKey(), { ...ref, epoch }),
    },
  });
  if (result.kind === 'refused') {
    const reason = {
      code: 'launch_failed',
      message: `No task could be started: ${result.reason}`,
      hint: 'Start the session again.',
      step: 'launching' as const,
    };
    await closeEpoch(ports, ref, { epoch, asRead: null, reason });
    return 'refused';
  }
  const { taskArn } = result;
  await ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: metaKey(ref),
    set: { taskArn, placement: { kind: 'task', taskArn } },
    conditions: [{ attr: 'epoch', op: '=', value: epoch }],
  });
  return 'placed';
};
