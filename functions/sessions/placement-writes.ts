/**
 * One runner per epoch: `placedEpoch` of the head is raised by whoever places an epoch, once. A claim also moves the lease, on which every
 * closing is conditional: none that was planned without the placement can forget to give it back.
 */
import { START_TIMEOUT_MS } from '../../shared/limits.ts';
import type { Placement } from '../../shared/session.ts';
import type { Condition, Item, Write } from '../database.ts';
import { headKey, metaKey, type SessionRecord, type SessionRef, type StreamHead } from './session-store.ts';

/** `task`, or whose session it is. */
const nameOf = (placement: Placement | { readonly kind: 'task' }): string =>
  'runnerId' in placement ? `${placement.kind}/${placement.runnerId}` : placement.kind;

/** Whether the current epoch has been given a runner, or a task was asked for. */
export const isPlaced = (head: StreamHead): boolean => head.placedEpoch === head.epoch;
export const isPlacedOnTask = (head: StreamHead): boolean => isPlaced(head) && head.placedOn === 'task';

const unplaced = (epoch: number) =>
  [
    { attr: 'epoch', op: '=', value: epoch },
    { attr: 'open', op: '=', value: true },
    { attr: 'placedEpoch', op: '<', value: epoch, orAbsent: true },
  ] as const;

/** Before a task is asked for: from here on nothing but this task runs the epoch. */
export const taskChosen = (ref: SessionRef, epoch: number): Write => ({
  kind: 'update',
  table: 'sessions',
  key: headKey(ref),
  set: { placedEpoch: epoch, placedOn: nameOf({ kind: 'task' }) },
  conditions: unplaced(epoch),
});

/** Always another value than the one that was read. */
const movedLease = (head: StreamHead, nowMs: number): number =>
  Math.max(nowMs + START_TIMEOUT_MS, head.leaseUntilMs + 1);

export const runnerClaimed = (
  ref: SessionRef,
  { head }: SessionRecord,
  placement: Exclude<Placement, { kind: 'task' }>,
  meta: Item,
  nowMs: number,
): Write[] => [
  {
    kind: 'update',
    table: 'sessions',
    key: headKey(ref),
    set: {
      placedEpoch: head.epoch,
      placedOn: nameOf(placement),
      placement,
      leaseUntilMs: movedLease(head, nowMs),
    },
    conditions: unplaced(head.epoch),
  },
  {
    kind: 'update',
    table: 'sessions',
    key: metaKey(ref),
    set: { placement, queuePosition: null, ...meta },
    conditions: [{ attr: 'epoch', op: '=', value: head.epoch }],
  },
];

/** The runner has not been back since it was claimed: of one that was, also if it is away again, nobody knows what it runs. */
export const stillOn = ({ connectionId, dial }: { connectionId: string | null; dial: number }): Condition[] => [
  { attr: 'connectionId', op: '=', value: connectionId },
  { attr: 'dial', op: '=', value: dial },
];

/** The claimed runner was gone before it heard of the session: the epoch may be placed elsewhere. Assigned, it has heard on some way. */
export const claimUndone = (
  ref: SessionRef,
  epoch: number,
  placement: Exclude<Placement, { kind: 'task' }>,
  meta: Item,
): Write[] => [
  {
    kind: 'update',
    table: 'sessions',
    key: headKey(ref),
    set: { placedEpoch: epoch - 1, placedOn: null, placement: null },
    add: { leaseUntilMs: 1 },
    conditions: [
      { attr: 'epoch', op: '=', value: epoch },
      { attr: 'open', op: '=', value: true },
      { attr: 'placedEpoch', op: '=', value: epoch },
      { attr: 'placedOn', op: '=', value: nameOf(placement) },
      { attr: 'assignedAtMs', op: '=', value: null },
    ],
  },
  {
    kind: 'update',
    table: 'sessions',
    key: metaKey(ref),
    set: { placement: null, taskArn: null, ...meta },
    conditions: [{ attr: 'epoch', op: '=', value: epoch }],
  },
];
