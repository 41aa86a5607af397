/** Hello and heartbeat of a task of the warm pool: idle it is put where starts find it, claimed it gets its session. */
import { AppError } from '../../shared/errors.ts';
import type { WriteResult } from '../database.ts';
import { markAssigned, postAssign } from './post-assign.ts';
import { becomesIdle, idleKey, readWarm, WarmRunner, warmKey } from './warm-store.ts';
import {
  type HelloFrame,
  type HelloPorts,
  isCurrent,
  overFor,
  recordAtHello,
  type Welcome,
  welcomed,
} from './welcome.ts';

export interface WarmConnection {
  readonly runnerId: string;
  readonly connectionId: string;
}

/** Each lost round means that a start or the pool changed the row. */
const ROUNDS = 6;

const isNewer = (runner: WarmRunner, who: WarmConnection, dial: number): boolean =>
  runner.dial < dial || runner.connectionId === who.connectionId;

const moveConnection = (
  ports: HelloPorts,
  who: WarmConnection,
  { dial, runnerVersion }: HelloFrame,
  runner: WarmRunner,
): Promise<WriteResult> =>
  ports.db.write({
    kind: 'update',
    table: 'runners',
    key: warmKey(runner.runnerId),
    set: { connectionId: who.connectionId, dial, runnerVersion, lastSeenMs: ports.clock.nowMs() },
    conditions: [
      { attr: 'state', op: '=', value: runner.state },
      { attr: 'dial', op: '=', value: runner.dial },
    ],
  });

/** The session it was claimed for; repeated until a batch shows that it was taken. */
const giveSession = async (
  ports: HelloPorts,
  { connectionId, runnerId }: WarmConnection,
  dial: number,
  claimedFor: NonNullable<WarmRunner['claimedFor']>,
  says: HelloFrame['sessions'] = [],
): Promise<Welcome> => {
  const { epoch, ...ref } = claimedFor;
  const record = await recordAtHello(ports, ref, epoch, says);
  if (record === null) return { type: 'welcome', dial, sessions: [], desired: 'drain' };
  if (isCurrent(record, epoch)) {
    await ports.runners.set(ref, { connectionId, epoch, dial });
    await markAssigned(ports, ref, record.head);
    if (record.head.ackedRseq === 0) await postAssign(ports, { connectionId, dial, runnerId }, ref, record.meta);
  }
  return { type: 'welcome', dial, sessions: [await welcomed(ports, ref, epoch, record)], desired: 'serve' };
};

export const greetWarm = async (ports: HelloPorts, who: WarmConnection, frame: HelloFrame): Promise<Welcome> => {
  const { dial } = frame;
  const welcome: Welcome = { type: 'welcome', dial, sessions: [], desired: 'serve' };
  for (let round = 0; round < ROUNDS; round += 1) {
    const runner = await readWarm(ports.db, who.runnerId);
    /** Whatever it still has is over, and it will get nothing more. */
    if (runner === null || runner.state === 'ending')
      return { ...welcome, desired: 'drain', sessions: frame.sessions.map((has) => overFor(has)) };
    /** Its socket is about to close. */
    if (!isNewer(runner, who, dial)) return welcome;
    const { taskArn, claimedFor } = runner;
    if (claimedFor === null && taskArn !== null) {
      const { runnerVersion } = frame;
      const seen = { connectionId: who.connectionId, dial, runnerVersion, lastSeenMs: ports.clock.nowMs() };
      if ((await ports.db.transact(becomesIdle(runner, { ...seen, taskArn }))).ok) return welcome;
    } else if ((await moveConnection(ports, who, frame, runner)).ok)
      /** Without the name of its task it is not idle yet: the pool writes that, and makes it so. */
      return claimedFor === null ? welcome : giveSession(ports, who, dial, claimedFor, frame.sessions);
  }
  throw new AppError('throttled', 'This runner is being claimed and let go all the time: say hello again.');
};

export const warmStatus = async (ports: HelloPorts, who: WarmConnection): Promise<void> => {
  const seen = await ports.db.write({
    kind: 'update',
    table: 'runners',
    key: warmKey(who.runnerId),
    set: { lastSeenMs: ports.clock.nowMs() },
    conditions: [{ attr: 'connectionId', op: '=', value: who.connectionId }],
  });
  if (!seen.ok || seen.item === null) return;
  const runner = WarmRunner.parse(seen.item);
  if (runner.state === 'ending')
    await ports.runnerSender.post(who.connectionId, { type: 'runner_desired', desired: 'drain' });
  if (runner.claimedFor !== null) await giveSession(ports, who, runner.dial, runner.claimedFor);
  const { taskArn, dial, runnerVersion, lastSeenMs } = runner;
  /** Whoever wrote the name of its task has died before the next step. */
  if (runner.state === 'launching' && taskArn !== null)
    await ports.db.transact(
      becomesIdle(runner, { connectionId: who.connectionId, dial, runnerVersion, lastSeenMs, taskArn }),
    );
};

/** Nobody claims a runner that nobody can tell; it comes back by itself. */
export const warmDisconnected = async (
  ports: Pick<HelloPorts, 'db' | 'runners' | 'runnerStore'>,
  who: WarmConnection,
): Promise<void> => {
  const left = await ports.db.write({
    kind: 'update',
    table: 'runners',
    key: warmKey(who.runnerId),
    set: { connectionId: null },
    conditions: [{ attr: 'connectionId', op: '=', value: who.connectionId }],
  });
  if (!left.ok || left.item === null) return;
  const runner = WarmRunner.parse(left.item);
  await ports.db.write({
    kind: 'delete',
    table: 'runners',
    key: idleKey(runner),
    conditions: [{ attr: 'connectionId', op: '=', value: who.connectionId }],
  });
  const { claimedFor } = runner;
  if (claimedFor === null) return;
  await ports.runners.clear(claimedFor, who.connectionId);
  await ports.runnerStore.disconnected(claimedFor.tenantId, claimedFor.sessionId, who.connectionId);
};
