/** What runs without a caller: streams, task events, schedules. */
import { describe, expect, test } from 'vitest';
import { plane, runner, token, viewer } from './functions-peers.ts';

describe('functions without a caller', () => {
  test('the stream of events brings news to whoever watches', async () => {
    const { ref } = await runner();
    const watching = await viewer();
    const attach = { type: 'attach', sessionId: ref.sessionId, viewerId: 'page', mode: 'watch', cols: 80, rows: 24 };
    await plane.send('viewer', watching, attach);
    const event = {
      v: 1,
      ...ref,
      epoch: 1,
      rseq: 1,
      ts: 1,
      offset: 0,
      seq: 2,
      type: 'provider_message',
      role: 'assistant',
      text: 'news',
    };
    const text = (value: string) => ({ S: value });
    const number = (value: number) => ({ N: String(value) });
    const image = {
      pk: text(`T#acme#S#${ref.sessionId}`),
      sk: text('SEG#000000000002'),
      epoch: number(1),
      firstRseq: number(1),
      lastRseq: number(1),
      firstSeq: number(2),
      lastSeq: number(2),
      digest: text('d'),
      committedAtMs: number(1),
      events: text(JSON.stringify([event])),
    };
    await plane.invoke('fan-out-events', {
      Records: [
        { eventName: 'INSERT', dynamodb: { NewImage: image } },
        { eventName: 'REMOVE', dynamodb: { OldImage: image } },
      ],
    });
    const news = plane.posts.filter(({ frame }) => frame.type === 'session_event');
    expect(news).toMatchObject([{ connectionId: watching.id, frame: { event: { text: 'news' } } }]);
  });

  test('a task that stopped closes its epoch, once, and the session goes on in the next one', async () => {
    const { ref } = await runner();
    const { body } = await plane.http('GET', `/api/sessions/${ref.sessionId}`, { token });
    const event = {
      source: 'aws.ecs',
      'detail-type': 'ECS Task State Change',
      detail: {
        taskArn: body.taskArn,
        lastStatus: 'STOPPED',
        startedBy: `acme/${ref.sessionId}/1`,
        stoppedReason: 'Essential container in task exited',
        version: 7,
        containers: [{ exitCode: 137 }],
        overrides: { containerOverrides: [{ environment: [{ name: 'CONTROL_PLANE_TOKEN', value: 'x' }] }] },
      },
    };
    expect(await plane.invoke('task-events', event)).toEqual({ outcome: 'closed' });
    expect(await plane.invoke('task-events', event)).toEqual({ outcome: 'ignored' });
    const session = async () => (await plane.http('GET', `/api/sessions/${ref.sessionId}`, { token })).body;
    expect(await session()).toMatchObject({ state: 'created', parked: true, reason: { code: 'runner_lost' } });
    const image = { pk: { S: `T#acme#S#${ref.sessionId}` }, sk: { S: 'META' }, isSuspended: { BOOL: true } };
    /** A strike waits; the resume of a person does not. */
    await plane.invoke('continue-sessions', { Records: [{ eventName: 'MODIFY', dynamodb: { NewImage: image } }] });
    expect(await session()).toMatchObject({ epoch: 1, parked: true });
    const resumed = await plane.http('POST', `/api/sessions/${ref.sessionId}/resume`, { token, body: {} });
    expect(resumed).toMatchObject({ status: 202, body: { session: { epoch: 2, state: 'created', parked: false } } });
    const launched = plane.ecsCalls.filter(({ action }) => action === 'RunTask').at(-1)?.input;
    expect(launched).toMatchObject({ clientToken: `${ref.sessionId}#2`, startedBy: `acme/${ref.sessionId}/2` });
    await plane.invoke('continue-sessions', { Records: [{ eventName: 'MODIFY', dynamodb: { NewImage: image } }] });
    expect(await session()).toMatchObject({ epoch: 2 });
  });

  test('tasks are held against the sessions, and one that none needs is stopped', async () => {
    await runner();
    expect(await plane.invoke('reconcile', {})).toMatchObject({ failed: 0, complete: true });
  });

  test('the reaper looks and leaves what lives', async () => {
    const { ref } = await runner();
    expect(await plane.invoke('reap', {})).toMatchObject({ closed: 0, failed: 0 });
    expect((await plane.http('GET', `/api/sessions/${ref.sessionId}`, { token })).body.state).toBe('created');
  });

  test('a tenant that is no tenant is not made', async () => {
    await expect(plane.bootstrap('ACME#S#x')).rejects.toThrow('ZodError');
  });
});
