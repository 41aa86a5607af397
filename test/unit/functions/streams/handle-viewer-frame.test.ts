import { describe, expect, test } from 'vitest';
import { getTranscript } from '../../../../functions/sessions/read-session.ts';
import { headKey, metaKey } from '../../../../functions/sessions/session-store.ts';
import { handleViewerFrame, viewerDisconnected } from '../../../../functions/streams/handle-viewer-frame.ts';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import { ControlToViewerFrame, type FrameOf, ViewerFrame } from '../../../../shared/frames.ts';
import { batchOf, controlPlanePorts, startedSession, TENANT, USER } from '../../../fakes/control-plane-ports.ts';

const setUp = async () => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  await ports.runners.set(ref, { connectionId: 'runner', epoch: 1, dial: 1 });
  const who = { connectionId: 'c1', tenantId: TENANT, userId: USER };
  const send = (frame: Record<string, unknown>, from = who) =>
    handleViewerFrame(ports, from, ViewerFrame.parse({ sessionId: ref.sessionId, viewerId: 'viewer', ...frame }));
  const attach = async (over: Record<string, unknown> = {}, from = who) => {
    const frame = { type: 'attach', mode: 'control', cols: 80, rows: 24, ...over };
    const reply = ControlToViewerFrame.parse(await send(frame, from));
    if (reply.type !== 'attached') throw new Error(`answered ${reply.type}`);
    return reply;
  };
  const toRunner = () => ports.runnerSender.posted.map(({ frame }) => frame);
  return { ports, ref, who, send, attach, toRunner };
};
const other = { connectionId: 'c2', tenantId: TENANT, userId: 'grace' };

describe('attach', () => {
  test('answers with session, presence and a view; runner and viewers are told', async () => {
    const { ref, attach, toRunner, ports } = await setUp();
    const attached = await attach({ from: { epoch: 1, offset: 5 } });
    expect(attached).toMatchObject({
      live: true,
      mode: 'control',
      controllerId: 'viewer',
      controlTerm: 1,
      head: { epoch: 1, offset: 0, seq: 1 },
      viewers: [{ viewerId: 'viewer', mode: 'control', userId: USER }],
    });
    const [viewers, attachFrame] = toRunner();
    expect(viewers).toMatchObject({ type: 'viewers', viewers: [{ viewerId: 'viewer' }], controllerId: 'viewer' });
    expect(attachFrame).toMatchObject({
      type: 'attach',
      viewerId: 'viewer',
      controlTerm: 1,
      from: { epoch: 1, offset: 5 },
      cols: 80,
      rows: 24,
    });
    const { rev } = (await ports.watchers.read(ref)).control;
    expect(attached.rev).toBe(rev);
    expect(viewers).toMatchObject({ rev });
    expect(attachFrame).toMatchObject({ rev });
  });

  test('a second controller becomes a watcher, and the runner hears it as one', async () => {
    const { attach, toRunner } = await setUp();
    await attach();
    expect(await attach({ viewerId: 'second' }, other)).toMatchObject({ mode: 'watch', controllerId: 'viewer' });
    expect(toRunner().at(-1)).toMatchObject({ type: 'attach', viewerId: 'second', mode: 'watch' });
  });

  test('to watch gives the keyboard back', async () => {
    const { attach, toRunner } = await setUp();
    await attach();
    expect(await attach({ mode: 'watch' })).toMatchObject({ mode: 'watch', controllerId: null, controlTerm: 2 });
    expect(toRunner().at(-1)).toMatchObject({ type: 'attach', mode: 'watch', controlTerm: 2 });
  });

  test('taking over raises the term', async () => {
    const { attach } = await setUp();
    await attach();
    expect(await attach({ viewerId: 'second', takeOver: true }, other)).toMatchObject({
      mode: 'control',
      controllerId: 'second',
      controlTerm: 2,
    });
  });

  test('without a runner it is not live', async () => {
    const { attach, ports } = await setUp();
    ports.runnerSender.answers.set('runner', 'gone');
    expect((await attach()).live).toBe(false);
  });

  test('between two epochs it is not live, though the last runner is still connected; what is stored can be read', async () => {
    const { attach, ports, ref, toRunner } = await setUp();
    const chunk = { number: 0, firstOffset: 0, endOffset: 10, key: 'k', sizeBytes: 1, sha256: '' };
    await ingestBatch(ports, ref, batchOf(ref, 1, [{ type: 'transcript_chunk_stored', ...chunk }]));
    for (const key of [headKey(ref), metaKey(ref)])
      await ports.db.write({ kind: 'update', table: 'sessions', key, set: { epoch: 2, offset: 0 } });
    ports.clock.advance(60_000);
    const attached = await attach({ from: { epoch: 1, offset: 4 } });
    expect(attached).toMatchObject({ live: false, head: { epoch: 2, offset: 0 } });
    expect(toRunner().filter(({ type }) => type === 'attach')).toEqual([]);
    const stored = await getTranscript(ports, ref, { epoch: 1, offset: 4 }, 10);
    expect(stored).toMatchObject({ chunks: [{ epoch: 1, endOffset: 10 }], live: true, head: { epoch: 2, offset: 0 } });

    await ports.runners.set(ref, { connectionId: 'next', epoch: 2, dial: 1 });
    expect((await attach()).live).toBe(true);
    expect(ports.runnerSender.posted.at(-1)).toMatchObject({
      connectionId: 'next',
      frame: { type: 'attach', epoch: 2 },
    });
  });

  test('of a session that ended it is not live, and nothing is posted', async () => {
    const { attach, ports, ref, toRunner } = await setUp();
    const fail = { type: 'session_state_changed', fromState: 'created', toState: 'failed', reason: null } as const;
    await ingestBatch(ports, ref, batchOf(ref, 1, [fail]));
    expect(await attach()).toMatchObject({ live: false, session: { state: 'failed' } });
    expect(toRunner()).toEqual([]);
  });

  test('what is committed while it attaches is either in its head or still to come', async () => {
    const { attach, ports, ref } = await setUp();
    const original = ports.watchers.attach;
    ports.watchers.attach = async (...attaching) => {
      await ingestBatch(ports, ref, batchOf(ref, 1, [{ type: 'provider_message', role: 'assistant', text: 'x' }]));
      return original(...attaching);
    };
    expect(await attach()).toMatchObject({ head: { seq: 2 }, session: { head: { seq: 2 } } });
  });

  test.each([
    ['that never was', TENANT, 'ses_99999999999999999999999999'],
    ['of another tenant', 'other', undefined],
  ])('to a session %s is not found, and leaves nothing behind', async (_name, tenantId, sessionId) => {
    const { attach, ports, ref } = await setUp();
    const target = sessionId ?? ref.sessionId;
    await expect(attach({ sessionId: target }, { connectionId: 'c', tenantId, userId: 'eve' })).rejects.toMatchObject({
      code: 'not_found',
      message: 'There is no such session.',
    });
    expect((await ports.watchers.read({ tenantId, sessionId: target })).viewers).toEqual([]);
  });

  test('the hundred and first viewer is told what to do', async () => {
    const { attach } = await setUp();
    for (let index = 0; index < 100; index += 1) await attach({ viewerId: `viewer-${index}`, mode: 'watch' });
    await expect(attach({ viewerId: 'one-more' })).rejects.toMatchObject({ code: 'too_many_viewers', status: 429 });
  });
});

describe('typing', () => {
  const typed = (view: string, over: Record<string, unknown> = {}) => ({
    type: 'input',
    view,
    controlTerm: 1,
    inputSeq: 1,
    data: 'ls\r',
    ...over,
  });

  test('goes to the runner with its term and number, and is not answered', async () => {
    const { attach, send, toRunner, ref } = await setUp();
    const { view } = await attach();
    expect(await send(typed(view))).toBeNull();
    expect(toRunner().at(-1)).toEqual({
      type: 'input',
      sessionId: ref.sessionId,
      epoch: 1,
      viewerId: 'viewer',
      source: 'viewer',
      controlTerm: 1,
      inputSeq: 1,
      data: 'ls\r',
      submit: false,
    });
  });

  test('reads nothing once the way is known', async () => {
    const { attach, send, ports } = await setUp();
    const { view } = await attach();
    await send(typed(view));
    ports.db.get = () => Promise.reject(new Error('read'));
    ports.db.query = () => Promise.reject(new Error('read'));
    expect(await send(typed(view, { inputSeq: 2 }))).toBeNull();
  });

  test('says so when no runner took it', async () => {
    const { attach, send, ports } = await setUp();
    const { view } = await attach();
    ports.runnerSender.answers.set('runner', 'gone');
    await expect(send(typed(view))).rejects.toMatchObject({ code: 'session_not_ready' });
  });

  test.each(['viewer', 'session', 'tenant'])('with the view of another %s is refused', async (of) => {
    const { ports, ref, attach, send, who } = await setUp();
    await attach();
    const foreign = await ports.signer.sign({
      kind: 'view',
      tenantId: of === 'tenant' ? 'other' : TENANT,
      sessionId: of === 'session' ? 'ses_99999999999999999999999999' : ref.sessionId,
      viewerId: of === 'viewer' ? 'another' : 'viewer',
      userId: USER,
      expSec: 9e9,
    });
    const before = ports.runnerSender.posted.length;
    await expect(send(typed(foreign), who)).rejects.toMatchObject({ code: 'forbidden' });
    await expect(
      send({ type: 'resize', view: foreign, controlTerm: 1, rev: 1, cols: 90, rows: 30 }),
    ).rejects.toMatchObject({ code: 'forbidden' });
    expect(ports.runnerSender.posted).toHaveLength(before);
  });

  test('with a forged or an old view is refused', async () => {
    const { attach, send, ports } = await setUp();
    const { view } = await attach();
    await expect(send(typed('forged'))).rejects.toMatchObject({ code: 'invalid_credential' });
    await expect(send(typed(`${view}x`))).rejects.toMatchObject({ code: 'invalid_credential' });
    ports.clock.advance(4 * 60 * 60_000);
    await expect(send(typed(view))).rejects.toMatchObject({ code: 'invalid_credential' });
  });

  test('a size goes to the runner with its term', async () => {
    const { attach, send, toRunner } = await setUp();
    const { view } = await attach();
    expect(await send({ type: 'resize', view, controlTerm: 1, rev: 3, cols: 90, rows: 30 })).toBeNull();
    expect(toRunner().at(-1)).toMatchObject({ type: 'resize', rev: 3, controlTerm: 1, cols: 90, rows: 30 });
  });

  test('to a session that is gone is not found', async () => {
    const { ports, send } = await setUp();
    const sessionId = 'ses_99999999999999999999999999';
    const view = await ports.signer.sign({
      kind: 'view',
      tenantId: TENANT,
      sessionId,
      viewerId: 'viewer',
      userId: USER,
      expSec: 9e9,
    });
    await expect(send(typed(view, { sessionId }))).rejects.toMatchObject({ code: 'not_found' });
  });
});

test('what was typed at the screen of another epoch reaches no program', async () => {
  const { attach, send, ports } = await setUp();
  const { view } = await attach();
  const before = ports.runnerSender.posted.length;
  const frame = { type: 'input', view, controlTerm: 1, inputSeq: 1, data: 'y' };
  await expect(send({ ...frame, epoch: 2 })).rejects.toMatchObject({ code: 'stale_epoch' });
  expect(ports.runnerSender.posted).toHaveLength(before);
  expect(await send({ ...frame, epoch: 1 })).toBeNull();
});

describe('asking for the keyboard', () => {
  test('is told to everybody by name; the leader allows it, and the runner hears who leads now', async () => {
    const { attach, send, ports, toRunner } = await setUp();
    const first = await attach({ device: 'Firefox on Linux' });
    ports.clock.advance(1);
    const second = await attach({ viewerId: 'second', mode: 'watch', device: 'Safari on an iPhone' }, other);
    ports.viewers.posted.length = 0;
    const asks = { type: 'control_request', viewerId: 'second', view: second.view, wanted: true };
    expect(await send(asks, other)).toMatchObject({
      type: 'presence',
      viewers: [
        { userId: USER, device: 'Firefox on Linux', mode: 'control' },
        { userId: 'grace', device: 'Safari on an iPhone', mode: 'watch' },
      ],
      request: { viewerId: 'second', declined: false },
    });
    expect(ports.viewers.posted.map(({ connectionId }) => connectionId).sort()).toEqual(['c1', 'c2']);
    await send(asks, other);
    expect(ports.viewers.posted).toHaveLength(2);
    const allows = { type: 'control_answer', view: first.view, controlTerm: 1, toViewerId: 'second', allow: true };
    expect(await send(allows)).toMatchObject({ controllerId: 'second', controlTerm: 2, request: null });
    expect(toRunner().at(-1)).toMatchObject({ type: 'viewers', controllerId: 'second', controlTerm: 2 });
  });

  test('names a device in plain text only: it is shown in the terminals of others', async () => {
    const { attach } = await setUp();
    await expect(attach({ device: 'x\u001b]2;evil\u0007' })).rejects.toThrow('must be plain text');
  });

  test.each([
    ['control_request', { wanted: true }],
    ['control_answer', { controlTerm: 1, toViewerId: 'second', allow: true }],
  ])('%s needs the view of that very viewer', async (type, rest) => {
    const { attach, send } = await setUp();
    await attach();
    const { view } = await attach({ viewerId: 'second', mode: 'watch' }, other);
    await expect(send({ type, view, ...rest })).rejects.toMatchObject({ code: 'forbidden' });
  });
});

describe('leaving', () => {
  test('detach tells the runner', async () => {
    const { attach, send, toRunner } = await setUp();
    await attach();
    expect(await send({ type: 'detach' })).toBeNull();
    expect(toRunner().at(-1)).toMatchObject({ type: 'viewers', viewers: [] });
  });

  test('detach from another connection changes nothing', async () => {
    const { attach, send, ports, ref } = await setUp();
    await attach();
    await send({ type: 'detach' }, other);
    expect((await ports.watchers.read(ref)).viewers).toHaveLength(1);
  });

  test('a connection that ends takes all its views along, also hundreds', async () => {
    const { attach, ports, who } = await setUp();
    const refs = [];
    for (let index = 0; index < 70; index += 1) refs.push(await startedSession(ports));
    for (const { sessionId } of refs) await attach({ sessionId, mode: 'watch' });
    await viewerDisconnected(ports, who);
    for (const ref of refs) expect((await ports.watchers.read(ref)).viewers).toEqual([]);
  });
});

describe('ping', () => {
  test('keeps the views and answers with the heads of sessions of its own', async () => {
    const { attach, ports, ref } = await setUp();
    await attach();
    ports.clock.advance(10 * 60_000);
    const frame: FrameOf<ViewerFrame, 'ping'> = {
      type: 'ping',
      ts: 7,
      attached: [
        { sessionId: ref.sessionId, viewerId: 'viewer' },
        { sessionId: 'ses_99999999999999999999999999', viewerId: 'viewer' },
      ],
    };
    const who = { connectionId: 'c1', tenantId: TENANT, userId: USER };
    expect(await handleViewerFrame(ports, who, frame)).toEqual({
      type: 'pong',
      ts: 7,
      heads: [{ type: 'head', sessionId: ref.sessionId, epoch: 1, offset: 0, seq: 1 }],
    });
    expect(await handleViewerFrame(ports, { ...who, tenantId: 'other' }, frame)).toMatchObject({ heads: [] });
    ports.clock.advance(10 * 60_000);
    expect((await ports.watchers.read(ref)).viewers).toHaveLength(1);
  });
});

test('an approval cannot be decided yet: nothing is allowed by default', async () => {
  const { ports, ref, who } = await setUp();
  const decision = { approvalId: 'apr_00000000000000000000000001', decision: 'allow_once' as const };
  const frame = ViewerFrame.parse({ type: 'approval_decision', sessionId: ref.sessionId, decision });
  await expect(handleViewerFrame(ports, who, frame)).rejects.toMatchObject({ code: 'unavailable' });
});

test('the last screen of a failed session stays out of the frame: it is read over HTTP', async () => {
  const { ports, ref, attach } = await setUp();
  const reason = { code: 'provider_exited', message: 'ended', lastScreen: 'x'.repeat(8_000) };
  const key = { pk: `T#${ref.tenantId}#S#${ref.sessionId}`, sk: 'META' };
  await ports.db.write({ kind: 'update', table: 'sessions', key, set: { reason } });
  expect((await attach()).session.reason).toEqual({ code: 'provider_exited', message: 'ended' });
});
