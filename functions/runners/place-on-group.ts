/**
 * Gives an epoch a runner of the session's group, or a place in its queue. Who frees a place looks at the queue after it, and who joins
 * the queue looks at the places after it: whichever comes last sees the other.
 */
import { AppError } from '../../shared/errors.ts';
import { CLAIM_ROUNDS_MAX, QUEUE_CHECK_MS, QUEUE_WAIT_MAX_MS, TENANT_LIVE_SESSIONS_MAX } from '../../shared/limits.ts';
import { closeEpoch } from '../sessions/close-epoch.ts';
import { isPlaced } from '../sessions/placement-writes.ts';
import type { SessionRecord, SessionRef } from '../sessions/session-store.ts';
import { appendEvents } from '../streams/append-events.ts';
import { type ClaimPorts, chooseHost, claimHost } from './claim-host.ts';
import { positionIn, type Queued, queueLeft, queuePut, readQueues } from './group-queue.ts';
import { listHosts } from './host-store.ts';

type Outcome = 'placed' | 'queued' | 'refused';

/** `null`: neither placed nor over. */
const settled = ({ head }: SessionRecord, epoch: number): Outcome | null => {
  if (isPlaced(head) && head.epoch === epoch) return 'placed';
  return head.open && head.epoch === epoch ? null : 'refused';
};

const groupOf = async (ports: ClaimPorts, tenantId: string, group: string) => {
  const [hosts, queues] = await Promise.all([
    listHosts(ports.db, tenantId, ports.clock.nowMs()),
    readQueues(ports.db, tenantId),
  ]);
  return { hosts: hosts.filter((host) => host.group === group), queue: queues.filter((one) => one.group === group) };
};

/** @returns whether it stands in the queue now; `false` when it was placed or closed meanwhile */
const join = async (ports: ClaimPorts, ref: SessionRef, epoch: number, position: number): Promise<boolean> => {
  const result = await appendEvents(ports, ref, (record, nowMs) => {
    const { meta } = record;
    if (settled(record, epoch) !== null || meta.queuePosition !== null) return null;
    const { provider, pool: group } = meta.config;
    return {
      events: [{ type: 'session_queued', position }],
      meta: { queuePosition: position, nextCheckAtMs: nowMs + QUEUE_CHECK_MS },
      writes: [queuePut(ref, { epoch, group, provider, queuedAtMs: nowMs })],
    };
  });
  return result !== null && settled(result.record, epoch) === null;
};

/** Many claims of one runner at once get into each other's way: whoever does not come through waits in the queue, and fails nobody's start. */
const tryClaim: typeof claimHost = async (...claim) => {
  try {
    return await claimHost(...claim);
  } catch (error) {
    if (error instanceof AppError && error.code === 'throttled') return 'lost';
    throw error;
  }
};

/** Takes one session out of the queue onto a runner; what is over leaves it. @returns whether it has left the queue */
const placeQueued = async (
  ports: ClaimPorts,
  ref: SessionRef,
  queued: Queued,
  host: Parameters<typeof claimHost>[3],
): Promise<boolean> => {
  const record = await ports.sessions.record(ref);
  if (record === null || settled(record, queued.epoch) !== null) {
    await ports.db.write({ ...queueLeft(ref), conditions: [{ attr: 'epoch', op: '=', value: queued.epoch }] });
    return true;
  }
  return (await tryClaim(ports, ref, record, host, queued)) === 'placed';
};

/**
 * Places what waits, the longest waiting first, as long as there is room. A session whose CLI no free runner has lets those behind it
 * pass. Any number may run at once.
 * @returns how many left the queue
 */
export const dispatchQueue = async (ports: ClaimPorts, tenantId: string, group: string): Promise<number> => {
  let left = 0;
  let lost = 0;
  while (left < 2 * TENANT_LIVE_SESSIONS_MAX && lost < CLAIM_ROUNDS_MAX) {
    const { hosts, queue } = await groupOf(ports, tenantId, group);
    const nowMs = ports.clock.nowMs();
    const next = queue.flatMap((queued) => {
      const host = chooseHost(hosts, queued.provider, nowMs);
      return host === null ? [] : [{ queued, host }];
    })[0];
    if (next === undefined) return left;
    const ref = { tenantId, sessionId: next.queued.sessionId };
    if (await placeQueued(ports, ref, next.queued, next.host)) {
      left += 1;
      lost = 0;
    } else lost += 1;
  }
  return left;
};

/** The place without waiting; otherwise the queue that it has to join, since somebody waits already or nobody has room. */
const claimNow = async (ports: ClaimPorts, ref: SessionRef, epoch: number, group: string) => {
  for (let round = 0; ; round += 1) {
    const record = await ports.sessions.record(ref);
    const known = record === null ? 'refused' : settled(record, epoch);
    if (record === null || known !== null) return { outcome: known ?? 'refused' };
    const { hosts, queue } = await groupOf(ports, ref.tenantId, group);
    const { provider } = record.meta.config;
    const host = queue.length > 0 ? null : chooseHost(hosts, provider, ports.clock.nowMs());
    if (host === null || round === CLAIM_ROUNDS_MAX) return { queue };
    if ((await tryClaim(ports, ref, record, host, null)) === 'placed') return { outcome: 'placed' as const };
  }
};

/** A slot that is held for nothing helps nobody. */
const giveUp = async (ports: ClaimPorts, ref: SessionRef, { epoch, group }: Queued): Promise<Outcome> => {
  const reason = {
    code: 'no_runner',
    message: `No runner of "${group}" took the session within a day.`,
    hint: 'Start a runner of the group, then start the session again.',
  };
  const head = await ports.sessions.head(ref);
  /** As it was read: one that is claimed in this moment stays. */
  if (head === null || !(await closeEpoch(ports, ref, { epoch, asRead: head, cause: 'nobody_took', reason })))
    return 'queued';
  return 'refused';
};

/** May be repeated at any time: what is placed stays so, what waits is looked at again. */
export const placeOnGroup = async (
  ports: ClaimPorts,
  ref: SessionRef,
  { epoch, group }: { readonly epoch: number; readonly group: string },
): Promise<Outcome> => {
  const { outcome, queue } = await claimNow(ports, ref, epoch, group);
  if (queue === undefined) return outcome;
  const own = queue.find(({ sessionId }) => sessionId === ref.sessionId);
  if (own !== undefined && ports.clock.nowMs() - own.queuedAtMs >= QUEUE_WAIT_MAX_MS) return giveUp(ports, ref, own);
  await join(ports, ref, epoch, positionIn(queue, ref.sessionId) ?? queue.length + 1);
  await dispatchQueue(ports, ref.tenantId, group);
  const record = await ports.sessions.record(ref);
  return record === null ? 'refused' : (settled(record, epoch) ?? 'queued');
};
