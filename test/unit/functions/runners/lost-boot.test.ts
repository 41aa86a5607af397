/** A runner of one's own that was started again without a session it held: nobody waits for what is gone. */
import { describe, expect, test } from 'vitest';
import { assignmentKey } from '../../../../functions/runners/host-store.ts';
import { continueSession } from '../../../../functions/sessions/continue-session.ts';
import { CONTINUE_BACKOFF_FIRST_MS } from '../../../../shared/limits.ts';
import { controlPlanePorts, startedSession, TENANT, type TestPorts } from '../../../fakes/control-plane-ports.ts';
import { type Assigned, ownRunner, toState } from '../../../fakes/own-runners.ts';

const setUp = async () => {
  const ports = controlPlanePorts();
  const runner = await ownRunner(ports, { firstDial: 1 });
  const ref = await startedSession(ports, { pool: 'lab' });
  const [assign] = runner.assigned;
  if (assign === undefined) throw new Error('not assigned');
  const runs = () => runner.batch(assign, 1, toState('running'));
  return { ports, runner, ref, assign, runs };
};
const has = ({ sessionId, epoch }: Pick<Assigned, 'sessionId' | 'epoch'>) => ({
  ...{ sessionId, epoch, nextRseq: 9, head: 0, desiredRev: 0, viewersRev: 0 },
});
const isOpen = async (ports: TestPorts, ref: { tenantId: string; sessionId: string }) =>
  (await ports.sessions.head(ref))?.open;

describe('hello of a new process that does not name a session that ran', () => {
  test('closes its epoch as lost, at once; the session goes on in the next, a strike richer', async () => {
    const { ports, runner, ref, assign, runs } = await setUp();
    await runs();
    const welcome = await runner.again('anew').hello({ firstDial: 2 });
    expect(welcome.sessions).toEqual([]);
    expect(await ports.sessions.record(ref)).toMatchObject({
      head: { open: false },
      meta: { isSuspended: true, placement: null, strikes: 1, reason: { code: 'runner_lost' } },
    });
    expect(await ports.db.get('runners', assignmentKey({ tenantId: TENANT, ...runner }, ref.sessionId))).toBeNull();
    ports.clock.advance(CONTINUE_BACKOFF_FIRST_MS);
    expect(await continueSession(ports, ref)).toBe('raised');
    expect(await ports.sessions.meta(ref)).toMatchObject({ epoch: 2, placement: { runnerId: runner.runnerId } });
    expect(await runner.batch(assign, 5, toState('running').slice(0, 1))).toMatchObject({ type: 'nack' });
  });

  test.each([
    ['names it', { firstDial: 2, isNamed: true }],
    ['is still the process that got it', { firstDial: 1 }],
    ['cannot say that it names all', {}],
  ])('but %s leaves it open', async (_how, { isNamed = false, ...says }: { isNamed?: boolean; firstDial?: number }) => {
    const { ports, runner, ref, assign, runs } = await setUp();
    await runs();
    await runner.again('anew').hello({ firstDial: undefined, ...says, sessions: isNamed ? [has(assign)] : [] });
    expect(await isOpen(ports, ref)).toBe(true);
  });

  test('of which nothing ever came is told to it again, and is its own from then on', async () => {
    const { ports, runner, ref } = await setUp();
    const anew = runner.again('anew');
    await anew.hello({ firstDial: 2 });
    const [assign] = anew.assigned;
    if (assign === undefined) throw new Error('not assigned');
    await anew.batch(assign, 1, toState('running'));
    // A hello from before the assignment, which comes late.
    await anew.hello({ firstDial: 2 });
    expect(await isOpen(ports, ref)).toBe(true);
  });

  test('that it took up and has ended since, not delivered yet, is still its own', async () => {
    const { ports, runner, ref, assign, runs } = await setUp();
    await runs();
    const anew = runner.again('anew');
    await anew.hello({ firstDial: 2, sessions: [has(assign)] });
    await anew.again('later').hello({ firstDial: 2 });
    expect(await isOpen(ports, ref)).toBe(true);
  });

  test('that was told to it by its heartbeat while its hello was on its way stays', async () => {
    const { ports, runner, ref } = await setUp();
    const anew = runner.again('anew');
    const { record } = ports.sessions;
    let isOvertaken = false;
    ports.sessions.record = async (session) => {
      if (!isOvertaken) {
        isOvertaken = true;
        await anew.status(0);
        const [assign] = anew.assigned;
        if (assign !== undefined) await anew.batch(assign, 1, toState('running'));
      }
      return record(session);
    };
    await anew.hello({ firstDial: 2 });
    expect(anew.assigned).toHaveLength(1);
    expect((await ports.sessions.head(ref))?.ackedRseq).toBeGreaterThan(0);
    expect(await isOpen(ports, ref)).toBe(true);
  });
});
