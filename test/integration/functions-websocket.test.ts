/** Frames of viewers and runners through the real functions, from hello to the end. */
import { createHash } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import type { EventDraft } from '../../shared/events.ts';
import { ControlToRunnerFrame, ControlToViewerFrame } from '../../shared/frames.ts';
import { FRAME_MAX_BYTES } from '../../shared/limits.ts';
import { batchOf } from '../fakes/control-plane-ports.ts';
import { fixture } from '../unit/shared/fixtures.ts';
import { plane, runner, sha256, state, token, toRunning, viewer } from './functions-peers.ts';

describe('frames that are none', () => {
  const odd: [string, unknown, string][] = [
    ['not JSON', 'hello', 'invalid_frame'],
    ['nothing', '', 'invalid_frame'],
    ['no object', '[1]', 'invalid_frame'],
    ['null', 'null', 'invalid_frame'],
    ['without a type', {}, 'invalid_frame'],
    ['of a type that is no text', { type: 5 }, 'invalid_frame'],
    ['of an unknown type', { type: 'nothing' }, 'unknown_frame'],
    ['of a very long type', { type: 'x'.repeat(30_000) }, 'unknown_frame'],
    ['of the other direction', { type: 'attached' }, 'unknown_frame'],
    ['of a type every object has', { type: 'constructor' }, 'unknown_frame'],
    ['with a missing field', { type: 'ping' }, 'invalid_frame'],
    ['with a field too many', { type: 'ping', ts: 1, more: 1 }, 'invalid_frame'],
    [
      'with thousands of fields',
      { type: 'ping', ts: 1, ...Object.fromEntries(Array.from({ length: 3_000 }, (_, n) => [`f${n}`, 1])) },
      'invalid_frame',
    ],
    ['with a session that is none', { type: 'ping', sessionId: 'x'.repeat(31_000) }, 'invalid_frame'],
    ['with a session of another type', { type: 'nothing', sessionId: 7 }, 'unknown_frame'],
    ['nested deeply', `{"type":"ping","ts":${'['.repeat(14_000)}${']'.repeat(14_000)}}`, 'invalid_frame'],
  ];
  test.each(odd)('%s: an error frame to a viewer, and the connection goes on', async (_name, frame, code) => {
    const connection = await viewer();
    const reply = await plane.send('viewer', connection, frame);
    expect(ControlToViewerFrame.parse(reply)).toMatchObject({ type: 'error', code });
    expect(Buffer.byteLength(JSON.stringify(reply))).toBeLessThan(FRAME_MAX_BYTES);
    expect(await plane.send('viewer', connection, { type: 'ping', ts: 1 })).toMatchObject({ type: 'pong', ts: 1 });
  });

  test.each(odd)('%s: the same to a runner', async (_name, frame, code) => {
    const connection = {
      id: 'r',
      authorizer: { tenantId: 'acme', sessionId: 'ses_99999999999999999999999999', epoch: '1' },
    };
    const reply = await plane.send('runner', connection, frame === 'attached' ? { type: 'welcome' } : frame);
    expect(ControlToRunnerFrame.parse(reply)).toMatchObject({ type: 'error', code });
    expect(await plane.send('runner', connection, { type: 'ping', ts: 1 })).toMatchObject({ type: 'pong' });
  });

  test('name the session where there is one', async () => {
    const connection = await viewer();
    const sessionId = 'ses_99999999999999999999999999';
    expect(
      await plane.send('viewer', connection, {
        type: 'attach',
        sessionId,
        viewerId: 'viewer',
        mode: 'watch',
        cols: 80,
        rows: 24,
      }),
    ).toMatchObject({ type: 'error', code: 'not_found', sessionId });
  });

  test('of a connection without identity are refused', async () => {
    const nobody = { id: 'x', authorizer: {} };
    for (const api of ['viewer', 'runner'] as const)
      expect(await plane.send(api, nobody, { type: 'ping', ts: 1 })).toMatchObject({ code: 'invalid_credential' });
  });

  test('an event nested deeper than any is refused as a batch, not as weather', async () => {
    const { connection, ref, capability } = await runner();
    const batch = batchOf(ref, 1, [{ type: 'provider_message', role: 'assistant', text: 'x' }]);
    const text = JSON.stringify({ type: 'runner_events', capability, ...batch });
    const deep = text.replace('"text":"x"', `"text":${'['.repeat(12_000)}${']'.repeat(12_000)}`);
    expect(await plane.send('runner', connection, deep)).toMatchObject({ type: 'nack', reason: 'invalid' });
    expect(await plane.send('runner', connection, text)).toMatchObject({ type: 'ack', ackedRseq: 1 });
  });
});

describe('a session from hello to its end', () => {
  test('is assigned, ingested, watched, typed into and closed', async () => {
    const { connection, ref, capability, welcome, assign } = await runner();
    expect(welcome).toMatchObject({ type: 'welcome', sessions: [{ sessionId: ref.sessionId, open: true }] });
    expect(assign.config).toMatchObject({ provider: 'shell', buildId: 'shell-1', endWhenDone: true });
    expect(JSON.stringify(assign)).not.toContain('SECRET-PROMPT');
    expect(await plane.http('POST', '/api/runner/credentials', { token: capability })).toMatchObject({
      status: 200,
      body: { model: { kind: 'none' }, inputs: { prompt: 'echo SECRET-PROMPT' } },
    });
    const batch = { type: 'runner_events', capability, ...batchOf(ref, 1, toRunning) };
    expect(await plane.send('runner', connection, batch)).toMatchObject({ type: 'ack', ackedRseq: 3, headSeq: 4 });
    expect(await plane.send('runner', connection, batch)).toMatchObject({ type: 'ack', ackedRseq: 3, headSeq: 4 });

    const watching = await viewer();
    const attached = ControlToViewerFrame.parse(
      await plane.send('viewer', watching, {
        type: 'attach',
        sessionId: ref.sessionId,
        viewerId: 'page',
        mode: 'control',
        cols: 80,
        rows: 24,
      }),
    );
    if (attached.type !== 'attached') throw new Error('not attached');
    expect(attached).toMatchObject({ live: true, mode: 'control', head: { seq: 4 }, session: { state: 'running' } });
    const toRunner = () => plane.posts.filter(({ connectionId }) => connectionId === connection.id);
    expect(toRunner().slice(-2)).toMatchObject([{ frame: { type: 'viewers' } }, { frame: { type: 'attach' } }]);

    await plane.send('viewer', watching, {
      type: 'input',
      sessionId: ref.sessionId,
      viewerId: 'page',
      view: attached.view,
      controlTerm: attached.controlTerm,
      inputSeq: 1,
      data: 'ls\r',
    });
    expect(ControlToRunnerFrame.parse(toRunner().at(-1)?.frame)).toMatchObject({ type: 'input', data: 'ls\r' });

    await plane.send('runner', connection, {
      type: 'terminal_output',
      capability,
      sessionId: ref.sessionId,
      epoch: 1,
      agentId: assign.config.agentId,
      stream: 'stdout',
      offset: 0,
      sizeRev: 1,
      cols: 80,
      rows: 24,
      seq: 1,
      ts: 1,
      data: 'file.txt\r\n',
      viewersRev: 1,
    });
    const toPage = () => plane.posts.filter(({ connectionId }) => connectionId === watching.id);
    expect(ControlToViewerFrame.parse(toPage().at(-1)?.frame)).toMatchObject({
      type: 'terminal_output',
      data: 'file.txt\r\n',
    });
    expect(JSON.stringify(toPage())).not.toContain(capability);

    const sent = plane.http('POST', `/api/sessions/${ref.sessionId}/input`, {
      token,
      body: { data: 'pwd', submit: true },
    });
    const pwd = { type: 'input', source: 'api', data: 'pwd', submit: true, inputSeq: 1 };
    await vi.waitFor(() => expect(toRunner().at(-1)?.frame).toMatchObject(pwd));
    const inputAck = { type: 'input_ack', viewerId: 'api-input', controlTerm: 0, inputSeq: 1 };
    await plane.send('runner', connection, { ...inputAck, capability, sessionId: ref.sessionId, epoch: 1 });
    expect((await sent).status).toBe(202);
    expect((await plane.http('POST', `/api/sessions/${ref.sessionId}/stop`, { token, body: {} })).status).toBe(202);
    expect(toRunner().at(-1)?.frame).toMatchObject({ type: 'desired', desired: 'stop', rev: 1 });

    const ending = [state('running', 'stopping'), state('stopping', 'completed')];
    const last = { type: 'runner_events', capability, ...batchOf(ref, 4, ending) };
    expect(await plane.send('runner', connection, last)).toMatchObject({ type: 'ack', ackedRseq: 5 });
    expect(await plane.http('GET', `/api/sessions/${ref.sessionId}`, { token })).toMatchObject({
      body: { state: 'completed', desired: 'stop' },
    });
    const page = await plane.http('GET', `/api/sessions/${ref.sessionId}/events`, { token });
    const events = z.array(z.looseObject({ seq: z.int(), type: z.string() })).parse(page.body.events);
    expect(events.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(
      await plane.http('POST', `/api/sessions/${ref.sessionId}/input`, { token, body: { data: 'x' } }),
    ).toMatchObject({
      status: 409,
      body: { code: 'session_ended' },
    });
    expect((await plane.http('POST', '/api/runner/credentials', { token: capability })).body.code).toBe('stale_epoch');
  });

  test('a viewer whose connection is gone is dropped, and the runner learns of it', async () => {
    const { connection, ref, capability } = await runner();
    const gone = await viewer(`gone-${ref.sessionId}`);
    const attach = { type: 'attach', sessionId: ref.sessionId, viewerId: 'page', mode: 'watch', cols: 80, rows: 24 };
    await plane.send('viewer', gone, attach);
    await plane.send('runner', connection, {
      type: 'head',
      capability,
      sessionId: ref.sessionId,
      epoch: 1,
      offset: 1,
      seq: 1,
      viewersRev: 0,
    });
    expect(plane.posts.at(-1)).toMatchObject({ connectionId: connection.id, frame: { type: 'viewers', viewers: [] } });
  });

  test('connections that end are forgotten', async () => {
    const { connection, ref } = await runner();
    const watching = await viewer();
    const attach = { type: 'attach', sessionId: ref.sessionId, viewerId: 'page', mode: 'watch', cols: 80, rows: 24 };
    expect(await plane.send('viewer', watching, attach)).toMatchObject({ live: true });
    await plane.disconnect('viewer', watching);
    expect(plane.posts.at(-1)).toMatchObject({ frame: { type: 'viewers', viewers: [] } });
    await plane.disconnect('runner', connection);
    expect(await plane.send('viewer', watching, attach)).toMatchObject({ live: false });
    const runners = await plane.http('GET', '/api/runners', { token });
    expect(JSON.stringify(runners.body)).toContain('"state":"disconnected"');
  });

  test('capability of one session in the connection of another: refused', async () => {
    const [one, two] = [await runner(), await runner()];
    const batch = { type: 'runner_events', capability: one.capability, ...batchOf(one.ref, 1, toRunning) };
    expect(await plane.send('runner', two.connection, batch)).toMatchObject({ type: 'error', code: 'forbidden' });
    expect(await plane.http('GET', `/api/sessions/${one.ref.sessionId}`, { token })).toMatchObject({
      body: { state: 'created' },
    });
  });
});

describe('uploads', () => {
  test('a grant takes exactly the body it was asked for, once, and the committed event makes it readable', async () => {
    const { connection, ref, capability } = await runner();
    const body = JSON.stringify(fixture('http', 'session-diff'));
    const wish = {
      kind: 'diff',
      number: 1,
      sizeBytes: Buffer.byteLength(body),
      sha256Base64: createHash('sha256').update(body).digest('base64'),
    };
    const batch = { type: 'runner_events', capability, ...batchOf(ref, 1, []), uploads: [wish] };
    const ack = ControlToRunnerFrame.parse(await plane.send('runner', connection, batch));
    const grant = ack.type === 'ack' ? ack.grants[0] : undefined;
    if (grant === undefined) throw new Error('nothing was granted');
    const put = async (sent: string, over: Record<string, string> = {}) =>
      (await fetch(grant.url, { method: 'PUT', headers: { ...grant.headers, ...over }, body: sent })).status;
    expect(await put(body.replace('main', 'niam'))).toBe(400);
    expect(await put(`${body} `, { 'content-length': String(wish.sizeBytes + 1) })).toBe(403);
    expect(await put(body)).toBe(200);
    expect(await put(body)).toBe(412);

    const summary: EventDraft = {
      type: 'diff_summary',
      files: [],
      fileCount: 2,
      linesAdded: 4,
      linesRemoved: 1,
      truncated: false,
      key: grant.key,
    };
    await plane.send('runner', connection, { type: 'runner_events', capability, ...batchOf(ref, 1, [summary]) });
    const diff = await plane.http('GET', `/api/sessions/${ref.sessionId}/diff`, { token });
    expect(diff).toMatchObject({ status: 200, body: fixture('http', 'session-diff') });
  });

  test('a stored chunk is listed with an address that gives its bytes', async () => {
    const { connection, ref, capability } = await runner();
    const body = 'gzipped';
    const sha256Base64 = createHash('sha256').update(body).digest('base64');
    const uploads = [{ kind: 'transcript', number: 0, sizeBytes: body.length, sha256Base64 }];
    const wishing = { type: 'runner_events', capability, ...batchOf(ref, 1, []), uploads };
    const ack = ControlToRunnerFrame.parse(await plane.send('runner', connection, wishing));
    const grant = ack.type === 'ack' ? ack.grants[0] : undefined;
    if (grant === undefined) throw new Error('nothing was granted');
    expect((await fetch(grant.url, { method: 'PUT', headers: grant.headers, body })).status).toBe(200);
    const chunk: EventDraft = {
      type: 'transcript_chunk_stored',
      number: 0,
      firstOffset: 0,
      endOffset: 50,
      key: grant.key,
      sizeBytes: body.length,
      sha256: sha256(body),
    };
    await plane.send('runner', connection, { type: 'runner_events', capability, ...batchOf(ref, 1, [chunk]) });
    const { body: transcript } = await plane.http('GET', `/api/sessions/${ref.sessionId}/transcript`, { token });
    const [listed] = z.array(z.looseObject({ url: z.url() })).parse(transcript.chunks);
    expect(await (await fetch(listed?.url ?? '')).text()).toBe(body);
    const later = await plane.http('GET', `/api/sessions/${ref.sessionId}/transcript?from=1:50`, { token });
    expect(later.body).toMatchObject({ chunks: [], live: true });
  });
});
