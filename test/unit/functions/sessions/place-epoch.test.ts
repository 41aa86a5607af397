/** A launch that is refused ends an epoch only where no other launch of the same epoch was taken. */
import { expect, test } from 'vitest';
import { placeEpoch } from '../../../../functions/sessions/place-epoch.ts';
import { headKey, metaKey } from '../../../../functions/sessions/session-store.ts';
import { controlPlanePorts, startedSession } from '../../../fakes/control-plane-ports.ts';

const REFUSED = { kind: 'refused', reason: 'no capacity' } as const;

const started = async () => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  const meta = await ports.sessions.meta(ref);
  if (meta === null) throw new Error('not started');
  const again = async () => {
    ports.tasks.nextLaunch = REFUSED;
    await placeEpoch(ports, ref, meta);
    return (await ports.sessions.head(ref))?.open;
  };
  return { ports, ref, again };
};

test('a second launch that is refused leaves the task of the first one alone', async () => {
  const { again } = await started();
  expect(await again()).toBe(true);
});

test('also when the first one could not be written down and its runner has come', async () => {
  const { ports, ref, again } = await started();
  const forget = { taskArn: null, placement: null };
  await ports.db.write({ kind: 'update', table: 'sessions', key: metaKey(ref), set: forget });
  await ports.db.write({ kind: 'update', table: 'sessions', key: headKey(ref), set: { assignedAtMs: 5 } });
  expect(await again()).toBe(true);
});

test('the only launch that is refused closes the epoch', async () => {
  const { ports, ref, again } = await started();
  const forget = { taskArn: null, placement: null };
  await ports.db.write({ kind: 'update', table: 'sessions', key: metaKey(ref), set: forget });
  expect(await again()).toBe(false);
});
