import { describe, expect, test } from 'vitest';
import { handleRunnerFrame } from '../../../../functions/runners/handle-runner-frame.ts';
import { setDesired } from '../../../../functions/sessions/set-desired.ts';
import { ControlToRunnerFrame, ControlToViewerFrame, RunnerFrame } from '../../../../shared/frames.ts';
import {
  CHECKPOINT_MAX_BYTES,
  CHECKPOINT_NUMBER_MAX,
  DIFF_OBJECT_MAX_BYTES,
  LEASE_MS,
  START_TIMEOUT_MS,
  TRANSCRIPT_CHUNK_MAX_BYTES,
  TRANSCRIPT_CHUNK_NUMBER_MAX,
} from '../../../../shared/limits.ts';
import { batchOf, controlPlanePorts, startedSession, TENANT } from '../../../fakes/control-plane-ports.ts';
import { runnersOf } from '../../../fakes/own-runners.ts';

const setUp = async () => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  const who = { ...ref, epoch: 1, connectionId: 'runner' };
  const capability = await ports.signer.sign({ kind: 'capability', ...ref, epoch: 1, expSec: 9e9 });
  const send = (frame: Record<string, unknown>, from = who) => handleRunnerFrame(ports, from, RunnerFrame.parse(frame));
  const hello = (over: Record<string, unknown> = {}, from = who) =>
    send(
      {
        type: 'hello',
        runnerId: 'runner-1',
        runnerVersion: '0.1.0',
        buildId: 'build-1',
        protocol: 1,
        dial: 1,
        clis: { shell: '5.2' },
        isolation: 'shared_uid',
        sessions: [],
        ...over,
      },
      from,
    );
  const events = (firstRseq: number, over: Record<string, unknown> = {}) => ({
    type: 'runner_events',
    capability,
    ...batchOf(ref, firstRseq, [{ type: 'provider_message', role: 'assistant', text: 'x' }]),
    ...over,
  });
  const attach = (viewerId: string) =>
    ports.watchers.attach(
      ref,
      { viewerId, connectionId: `c-${viewerId}`, userId: 'ada', mode: 'watch', sinceMs: 1 },
      false,
    );
  return { ports, ref, who, capability, send, hello, events, attach };
};
const inSession = (ref: { sessionId: string }, capability: string) => ({
  capability,
  sessionId: ref.sessionId,
  epoch: 1,
});
const size = { sizeRev: 1, cols: 80, rows: 24 };
const viewerFrames = (ref: { sessionId: string }, capability: string): Record<string, unknown>[] => [
  {
    type: 'terminal_output',
    ...inSession(ref, capability),
    agentId: 'agt_00000000000000000000000001',
    stream: 'stdout',
    offset: 0,
    ...size,
    seq: 1,
    ts: 1,
    data: 'x',
    viewersRev: 0,
  },
  {
    type: 'terminal_snapshot',
    ...inSession(ref, capability),
    viewerId: 'viewer',
    snapshotId: 's',
    part: 0,
    parts: 1,
    offset: 0,
    ...size,
    data: 'x',
  },
  { type: 'head', ...inSession(ref, capability), offset: 1, seq: 1, viewersRev: 0 },
  { type: 'input_ack', ...inSession(ref, capability), viewerId: 'viewer', controlTerm: 1, inputSeq: 1 },
  {
    type: 'input_reset',
    ...inSession(ref, capability),
    viewerId: 'viewer',
    controlTerm: 1,
    expected: 1,
    reason: 'hole',
  },
];

describe('hello', () => {
  test('is welcomed with what was committed and asked, and gets its session', async () => {
    const { ports, ref, hello, attach } = await setUp();
    await attach('viewer');
    const welcome = ControlToRunnerFrame.parse(await hello());
    expect(welcome).toMatchObject({
      type: 'welcome',
      dial: 1,
      sessions: [
        {
          sessionId: ref.sessionId,
          epoch: 1,
          ackedRseq: 0,
          open: true,
          desired: { desired: 'run', rev: 0 },
          watchers: { viewers: [{ viewerId: 'viewer' }] },
        },
      ],
    });
    const [assign] = ports.runnerSender.posted;
    expect(assign).toMatchObject({ connectionId: 'runner', frame: { type: 'assign', epoch: 1 } });
    const frame = ControlToRunnerFrame.parse(assign?.frame);
    if (frame.type !== 'assign') throw new Error('not assigned');
    expect(await ports.signer.verify('capability', frame.capability)).toMatchObject({ ...ref, epoch: 1 });
  });

  test('just before the start times out keeps the session from the reaper; an early one shortens nothing', async () => {
    const { ports, ref, hello } = await setUp();
    const untilMs = (await ports.sessions.head(ref))?.leaseUntilMs ?? 0;
    await hello();
    expect((await ports.sessions.head(ref))?.leaseUntilMs).toBe(untilMs);
    const late = await setUp();
    late.ports.clock.advance(START_TIMEOUT_MS - 1);
    await late.hello();
    expect((await late.ports.sessions.head(late.ref))?.leaseUntilMs).toBe(late.ports.clock.nowMs() + LEASE_MS);
  });

  test('is assigned again at each hello until its first batch is committed', async () => {
    const { ports, hello, send, events } = await setUp();
    const assigned = () => ports.runnerSender.posted.filter(({ frame }) => frame.type === 'assign').length;
    await hello();
    await hello({ dial: 2 });
    expect(assigned()).toBe(2);
    await send(events(1));
    expect(await hello({ dial: 3 })).toMatchObject({ sessions: [{ ackedRseq: 1 }] });
    expect(assigned()).toBe(2);
  });

  test('starts the billable time once, on the server', async () => {
    const { ports, ref, hello } = await setUp();
    await hello();
    const first = (await ports.sessions.head(ref))?.assignedAtMs;
    ports.clock.advance(60_000);
    await hello({ dial: 2 });
    expect(first).not.toBeNull();
    expect((await ports.sessions.head(ref))?.assignedAtMs).toBe(first);
  });

  test('moves the way to the runner to the higher dial', async () => {
    const { ports, ref, who, hello } = await setUp();
    await hello({ dial: 2 }, { ...who, connectionId: 'newer' });
    await hello({ dial: 1 }, { ...who, connectionId: 'older' });
    await ports.runners.post(ref, { type: 'ping', ts: 1 });
    expect(ports.runnerSender.posted.at(-1)?.connectionId).toBe('newer');
    expect(await runnersOf(ports)).toHaveLength(1);
  });

  test('of a life that is over is told so, and changes nothing', async () => {
    const { ports, ref, who, hello } = await setUp();
    expect(await hello({}, { ...who, epoch: 2 })).toMatchObject({ sessions: [{ open: false, ackedRseq: 0 }] });
    expect(ports.runnerSender.posted).toEqual([]);
    expect(await ports.runners.post(ref, { type: 'ping', ts: 1 })).toBe(false);
    expect(await runnersOf(ports)).toEqual([]);
  });

  test('for a session that never was is welcomed with none', async () => {
    const { who, hello } = await setUp();
    expect(await hello({}, { ...who, sessionId: 'ses_99999999999999999999999999' })).toEqual({
      type: 'welcome',
      dial: 1,
      sessions: [],
      desired: 'serve',
    });
  });
});

describe('a batch', () => {
  test('is acknowledged with grants under keys that the control plane computes', async () => {
    const { ref, send, events } = await setUp();
    const uploads = ['transcript', 'diff'].map((kind) => ({
      kind,
      number: 3,
      sizeBytes: 10,
      sha256Base64: 'a'.repeat(44),
    }));
    const prefix = `tenants/${TENANT}/sessions/${ref.sessionId}`;
    expect(ControlToRunnerFrame.parse(await send(events(1, { uploads })))).toMatchObject({
      type: 'ack',
      ackedRseq: 1,
      headSeq: 2,
      grants: [{ key: `${prefix}/transcript/000001/000003.json.gz` }, { key: `${prefix}/diff/000001/000003.json` }],
    });
  });

  test.each([
    ['transcript', { sizeBytes: TRANSCRIPT_CHUNK_MAX_BYTES }, null],
    ['transcript', { sizeBytes: TRANSCRIPT_CHUNK_MAX_BYTES + 1 }, ['too_large', TRANSCRIPT_CHUNK_MAX_BYTES]],
    ['transcript', { number: TRANSCRIPT_CHUNK_NUMBER_MAX + 1 }, ['number_too_high', TRANSCRIPT_CHUNK_NUMBER_MAX]],
    ['diff', { sizeBytes: DIFF_OBJECT_MAX_BYTES, number: 9e9 }, null],
    ['diff', { sizeBytes: DIFF_OBJECT_MAX_BYTES + 1 }, ['too_large', DIFF_OBJECT_MAX_BYTES]],
    ['checkpoint', { sizeBytes: CHECKPOINT_MAX_BYTES }, null],
    ['checkpoint', { sizeBytes: CHECKPOINT_MAX_BYTES + 1 }, ['too_large', CHECKPOINT_MAX_BYTES]],
    ['checkpoint', { number: CHECKPOINT_NUMBER_MAX + 1 }, ['number_too_high', CHECKPOINT_NUMBER_MAX]],
  ] as const)('that wishes to store a %s of %j gets a grant, or a refusal for good', async (kind, over, refused) => {
    const { send, events } = await setUp();
    const small = { kind: 'diff', number: 1, sizeBytes: 1, sha256Base64: 'a'.repeat(44) };
    const wish = { ...small, number: 2, kind, ...over };
    const ack = ControlToRunnerFrame.parse(await send(events(1, { uploads: [small, wish] })));
    if (ack.type !== 'ack') throw new Error('not acknowledged');
    const { number } = wish;
    expect(ack.grants.map((grant) => `${grant.kind} ${grant.number}`)).toEqual(
      refused === null ? ['diff 1', `${kind} ${number}`] : ['diff 1'],
    );
    expect(ack.refused).toEqual(
      refused === null ? undefined : [{ kind, number, reason: refused[0], limit: refused[1] }],
    );
  });

  test('is acknowledged with what people want of the session: the frame that said so may be lost', async () => {
    const { ports, ref, send, events } = await setUp();
    expect(await send(events(1))).not.toHaveProperty('desired');
    await setDesired(ports, ref, 'pause', 'ada');
    expect(ControlToRunnerFrame.parse(await send(events(2)))).toMatchObject({
      ...{ type: 'ack', ackedRseq: 2, desired: { desired: 'pause', rev: 1 } },
    });
    // Also a repeated batch, and a tick that says nothing else.
    expect(await send(events(2))).toMatchObject({ ackedRseq: 2, desired: { desired: 'pause', rev: 1 } });
  });

  test('out of order is refused with what is expected', async () => {
    const { send, events } = await setUp();
    expect(await send(events(3))).toMatchObject({ type: 'nack', reason: 'gap', expected: 1, firstRseq: 3 });
  });

  test('of a session that is gone is not found', async () => {
    const { ports, send, events, who } = await setUp();
    const ref = { tenantId: TENANT, sessionId: 'ses_99999999999999999999999999' };
    const capability = await ports.signer.sign({ kind: 'capability', ...ref, epoch: 1, expSec: 9e9 });
    await expect(send({ ...events(1), ...batchOf(ref, 1, []), capability }, { ...who, ...ref })).rejects.toMatchObject({
      code: 'not_found',
    });
  });
});

describe('a capability', () => {
  const foreign = [
    ['another tenant', { tenantId: 'other' }],
    ['another session', { sessionId: 'ses_99999999999999999999999999' }],
    ['another epoch', { epoch: 2 }],
  ] as const;
  test.each(foreign)('of %s is refused for every frame, and nobody receives anything', async (_name, over) => {
    const { ports, ref, send, events, attach } = await setUp();
    await attach('viewer');
    const capability = await ports.signer.sign({ kind: 'capability', ...ref, epoch: 1, expSec: 9e9, ...over });
    for (const frame of [events(1, { capability }), ...viewerFrames(ref, capability)])
      await expect(send(frame), String(frame.type)).rejects.toMatchObject({ code: 'forbidden' });
    expect(ports.viewers.posted).toEqual([]);
    expect(ports.db.all('events')).toHaveLength(1);
  });

  test('of another session is refused also where the frame names that session', async () => {
    const { ports, send, who } = await setUp();
    const victim = await startedSession(ports);
    const capability = await ports.signer.sign({ kind: 'capability', ...victim, epoch: 1, expSec: 9e9 });
    for (const frame of viewerFrames(victim, capability))
      await expect(send(frame, who)).rejects.toMatchObject({ code: 'forbidden' });
    const batch = { type: 'runner_events', capability, ...batchOf(victim, 1, []) };
    await expect(send(batch, who)).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('that is forged, of another kind or has expired is refused', async () => {
    const { ports, ref, send, events, capability } = await setUp();
    const user = await ports.signer.sign({ kind: 'user', tenantId: TENANT, userId: 'ada', client: 'cli', expSec: 9e9 });
    const nowSec = Math.floor(ports.clock.nowMs() / 1_000);
    const old = await ports.signer.sign({ kind: 'capability', ...ref, epoch: 1, expSec: nowSec + 1 });
    ports.clock.advance(2_000);
    for (const bad of [`${capability}x`, user, old])
      await expect(send(events(1, { capability: bad }))).rejects.toMatchObject({ code: 'invalid_credential' });
  });

  test('never reaches a viewer', async () => {
    const { ports, ref, capability, send, attach } = await setUp();
    await attach('viewer');
    for (const frame of viewerFrames(ref, capability)) expect(await send(frame)).toBeNull();
    expect(ports.viewers.posted.map(({ frame }) => frame.type)).toEqual(
      viewerFrames(ref, capability).map(({ type }) => type),
    );
    for (const { frame } of ports.viewers.posted) ControlToViewerFrame.parse(frame);
    expect(JSON.stringify(ports.viewers.posted)).not.toContain(capability);
  });
});

describe('output', () => {
  test('meant for one viewer reaches that one only', async () => {
    const { ports, ref, capability, send, attach } = await setUp();
    await attach('viewer');
    await attach('another');
    const [output = {}] = viewerFrames(ref, capability);
    await send({ ...output, viewerId: 'viewer' });
    expect(ports.viewers.posted.map(({ connectionId }) => connectionId)).toEqual(['c-viewer']);
    await send(output);
    expect(ports.viewers.posted).toHaveLength(3);
  });

  test('and its head reach a viewer that has just attached, whatever list is remembered', async () => {
    const { ports, ref, capability, send, attach } = await setUp();
    await attach('viewer');
    const frames = viewerFrames(ref, capability).filter(({ type }) => type === 'head' || type === 'terminal_output');
    expect(frames).toHaveLength(2);
    for (const [index, frame] of frames.entries()) {
      await send(frame);
      const late = await attach(`late-${index}`);
      ports.viewers.posted.length = 0;
      await send({ ...frame, viewersRev: late?.control.rev });
      expect(ports.viewers.posted.map(({ connectionId }) => connectionId)).toContain(`c-late-${index}`);
    }
  });

  test('as a snapshot follows its viewer to a new connection while the old one still stands', async () => {
    const { ports, ref, capability, send, attach } = await setUp();
    await attach('viewer');
    const [output = {}, snapshot = {}] = viewerFrames(ref, capability);
    await send(output);
    await ports.watchers.attach(
      ref,
      { viewerId: 'viewer', connectionId: 'c-new', userId: 'ada', mode: 'watch', sinceMs: 2 },
      false,
    );
    await send(snapshot);
    expect(ports.viewers.posted.at(-1)).toMatchObject({
      connectionId: 'c-new',
      frame: { type: 'terminal_snapshot' },
    });
  });
});

test('a ping is answered, a pong is not', async () => {
  const { send } = await setUp();
  expect(await send({ type: 'ping', ts: 5 })).toEqual({ type: 'pong', ts: 5, heads: [] });
  expect(await send({ type: 'pong', ts: 5 })).toBeNull();
});
