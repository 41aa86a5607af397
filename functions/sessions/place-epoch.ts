/**
 * Gives an open epoch a runner: a place in the session's group, an idle task of the warm pool, or a task of its own. The session exists
 * before anything is asked for, so no crash leaves a runner that nobody knows; repeated at any time, it never gives an epoch two.
 */
import { HOSTED_POOL } from '../../shared/session.ts';
import type { ClaimPorts } from '../runners/claim-host.ts';
import { claimWarm } from '../runners/claim-warm.ts';
import { placeOnGroup } from '../runners/place-on-group.ts';
import { deriveStartToken } from '../runners/runner-credentials.ts';
import { closeEpoch } from './close-epoch.ts';
import { isPlaced, isPlacedOnTask, taskChosen } from './placement-writes.ts';
import type { TaskLauncher } from './ports.ts';
import { metaKey, type SessionMeta, type SessionRef, StreamHead, taskArnOf } from './session-store.ts';
import { formatTaskOwner } from './task-owner.ts';

export interface PlacePorts extends ClaimPorts {
  readonly tasks: Pick<TaskLauncher, 'launch'>;
  readonly signingKey: () => Promise<Uint8Array>;
  readonly publicUrl: string;
  /** Idle tasks that are kept for each build; without any there is no pool to look into. */
  readonly warmPoolSize?: number;
}

export type PlaceResult = 'placed' | 'queued' | 'refused';

/** Idle runners that are tried before a task is started: one that is gone is found out by telling it. */
const WARM_TRIES = 3;

/** Asks ECS for the task; a repeat with the same token and parameters is the same task. A refusal closes an epoch that has none. */
const launch = async (ports: PlacePorts, ref: SessionRef, meta: SessionMeta): Promise<PlaceResult> => {
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
    const cause = result.isPermanent === true ? 'launch_impossible' : 'launch_refused';
    /** The same launch asked for twice may have been taken the other time, even while this answer was on its way. */
    const now = await ports.sessions.record(ref);
    if (now === null || now.head.assignedAtMs !== null || taskArnOf(now.meta) !== null) return 'refused';
    await closeEpoch(ports, ref, { epoch, asRead: now.head, cause, reason });
    return 'refused';
  }
  const { taskArn } = result;
  await ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: metaKey(ref),
    set: { taskArn, placement: { kind: 'task', taskArn } },
    conditions: [
      { attr: 'epoch', op: '=', value: epoch },
      /** Closed meanwhile: nothing runs it any more. */
      { attr: 'isSuspended', op: '=', value: false, orAbsent: true },
      { attr: 'endedAt', op: '=', value: null },
    ],
  });
  return 'placed';
};

/** By the session, so that parallel starts look at different shards first. */
const shardFor = ({ sessionId }: SessionRef): number => sessionId.charCodeAt(sessionId.length - 1);

/** @returns `null` when no idle runner was got, and a task is to be started */
const placeOnWarm = async (ports: PlacePorts, ref: SessionRef, epoch: number): Promise<PlaceResult | null> => {
  for (let tried = 0; tried < WARM_TRIES; tried += 1) {
    const record = await ports.sessions.record(ref);
    if (record === null || record.head.epoch !== epoch || !record.head.open) return 'refused';
    if (isPlacedOnTask(record.head)) return null;
    if (isPlaced(record.head)) return 'placed';
    const claim = await claimWarm(ports, ref, record, shardFor(ref) + tried);
    if (claim === 'placed') return 'placed';
    if (claim === 'none') return null;
  }
  return null;
};

const placeHosted = async (ports: PlacePorts, ref: SessionRef, meta: SessionMeta): Promise<PlaceResult> => {
  const { epoch } = meta;
  if ((ports.warmPoolSize ?? 0) > 0) {
    const placed = await placeOnWarm(ports, ref, epoch);
    if (placed !== null) return placed;
  }
  const chosen = await ports.db.write(taskChosen(ref, epoch));
  if (!chosen.ok) {
    const head = chosen.item === null ? null : StreamHead.parse(chosen.item);
    if (head === null || head.epoch !== epoch || !head.open) return 'refused';
    /** Chosen before, by a call that may have died before it asked for the task. */
    if (!isPlacedOnTask(head)) return 'placed';
  }
  return launch(ports, ref, meta);
};

export const placeEpoch = (ports: PlacePorts, ref: SessionRef, meta: SessionMeta): Promise<PlaceResult> =>
  meta.config.pool === HOSTED_POOL
    ? placeHosted(ports, ref, meta)
    : placeOnGroup(ports, ref, { epoch: meta.epoch, group: meta.config.pool });
