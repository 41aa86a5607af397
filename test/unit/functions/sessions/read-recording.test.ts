import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { sessionRoutes } from '../../../../functions/api/session-routes.ts';
import { getRecording } from '../../../../functions/sessions/read-recording.ts';
import { getTranscript } from '../../../../functions/sessions/read-session.ts';
import { chunkObjectKey, chunkPut } from '../../../../functions/streams/chunks.ts';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import { TranscriptQuery } from '../../../../shared/http.ts';
import { CAST_REQUEST_MAX_BYTES } from '../../../../shared/limits.ts';
import { batchOf, controlPlanePorts, startedSession, TENANT, USER } from '../../../fakes/control-plane-ports.ts';

const FROM = { epoch: 1, offset: 0 };

/** A session with chunks of ten bytes in two epochs. */
const recorded = async () => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports, { terminal: { cols: 90, rows: 20 } });
  const store = async (epoch: number, number: number, firstOffset: number, sizeBytes = 10) => {
    const body = gzipSync(
      JSON.stringify({
        ...{ v: 1, sessionId: ref.sessionId, epoch, number, firstOffset, endOffset: firstOffset + sizeBytes },
        keyframe: { cols: 80, rows: 24, sizeRev: 0, data: '' },
        parts: [{ k: 'o', ts: 1_000 * (10 * epoch + number), offset: firstOffset, data: `${epoch}/${number}-------` }],
      }),
    );
    ports.objects.bodies.set(chunkObjectKey(ref, epoch, number), body);
    const event = {
      type: 'transcript_chunk_stored' as const,
      ...{ v: 1 as const, ...ref, epoch, rseq: 1, seq: 1, ts: 1, offset: 0 },
      ...{ number, firstOffset, endOffset: firstOffset + sizeBytes, key: 'k', sizeBytes: body.length, sha256: '' },
    };
    await ports.db.write(chunkPut(ref, event));
  };
  await store(1, 0, 0);
  await store(1, 1, 10);
  await store(2, 0, 0);
  await store(2, 1, 10);
  await ingestBatch(ports, ref, batchOf(ref, 1, [{ type: 'turn_started', turn: 1, prompt: 'go' }]));
  const castOf = (url: string) => {
    const key = url.replace('https://objects.test/', '').replace('?get', '');
    return Buffer.from(ports.objects.bodies.get(key) ?? [])
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  };
  return { ports, ref, store, castOf };
};

describe('the transcript over several epochs', () => {
  test('is read from any address, page by page', async () => {
    const { ports, ref } = await recorded();
    const names = async (from: { epoch: number; offset: number }, limit: number) => {
      const { chunks, more } = await getTranscript(ports, ref, from, limit);
      return [...chunks.map(({ epoch, number }) => `${epoch}/${number}`), more];
    };
    expect(await names(FROM, 10)).toEqual(['1/0', '1/1', '2/0', '2/1', false]);
    expect(await names({ epoch: 1, offset: 10 }, 2)).toEqual(['1/1', '2/0', true]);
    expect(await names({ epoch: 1, offset: 20 }, 1)).toEqual(['2/0', true]);
    expect(await names({ epoch: 2, offset: 19 }, 9)).toEqual(['2/1', false]);
    expect(await names({ epoch: 2, offset: 20 }, 9)).toEqual([false]);
    expect(await names({ epoch: 7, offset: 0 }, 9)).toEqual([false]);
  });

  test.each(['', '1', 'a:b', '1:-1', '1:0:0', '1:1e3', `1:${'9'.repeat(16)}`, '1234567:0'])(
    '%j is no address',
    (from) => {
      expect(TranscriptQuery.safeParse({ from }).success).toBe(false);
    },
  );
});

describe('a recording', () => {
  test('is made once of all epochs, with markers, and found again', async () => {
    const { ports, ref, castOf } = await recorded();
    const { url, expiresAt } = await getRecording(ports, ref, FROM);
    const [header, ...events] = castOf(url);
    expect(header).toMatchObject({ version: 2, width: 80, height: 24 });
    expect(events.map(([, code, data]) => `${code} ${data}`)).toEqual([
      'o 1/0-------',
      'm turn 1: go',
      'o 1/1-------',
      'm epoch 2',
      'o \u001bc',
      'o 2/0-------',
      'o 2/1-------',
    ]);
    expect(Date.parse(expiresAt)).toBeGreaterThan(ports.clock.nowMs());
    const count = ports.objects.bodies.size;
    expect((await getRecording(ports, ref, FROM)).url).toBe(url);
    expect(ports.objects.bodies.size).toBe(count);
    expect((await getRecording(ports, ref, { epoch: 2, offset: 0 })).url).not.toBe(url);
  });

  test('leaves out a chunk that is gone or damaged, and says so', async () => {
    const { ports, ref, castOf } = await recorded();
    ports.objects.bodies.delete(chunkObjectKey(ref, 1, 0));
    ports.objects.bodies.set(chunkObjectKey(ref, 2, 0), gzipSync('{"v":9}'));
    const events = castOf((await getRecording(ports, ref, FROM)).url).slice(1);
    expect(events.filter(([, code]) => code === 'o').map(([, , data]) => data)).toEqual([
      '1/1-------',
      '\u001bc',
      '2/1-------',
    ]);
  });

  test('of a session without output is a header in its size', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports, { terminal: { cols: 90, rows: 20 } });
    const { url } = await getRecording(ports, ref, FROM);
    const key = url.replace('https://objects.test/', '').replace('?get', '');
    expect(JSON.parse(Buffer.from(ports.objects.bodies.get(key) ?? []).toString())).toMatchObject({
      width: 90,
      height: 20,
    });
  });

  test('of a very long session is refused with what to do', async () => {
    const { ports, ref, store } = await recorded();
    await store(2, 2, 20, CAST_REQUEST_MAX_BYTES);
    await expect(getRecording(ports, ref, FROM)).rejects.toThrow(`village sessions replay ${ref.sessionId} --cast`);
    await expect(getRecording(ports, { ...ref, tenantId: 'other' }, FROM)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('is a redirect of the transcript’s route', async () => {
    const { ports, ref } = await recorded();
    const route = sessionRoutes(ports)['GET /api/sessions/{id}/transcript'];
    const authorizer = { kind: 'user', tenantId: TENANT, userId: USER, expSec: 9e9, client: 'cli' };
    const query = TranscriptQuery.parse({ format: 'asciicast' });
    const answer = await route?.run({
      ...{ body: undefined, query, params: { id: ref.sessionId }, headers: {}, authorizer, requestId: 'r' },
    });
    expect(answer).toMatchObject({ status: 302, location: expect.stringContaining('/recordings/') });
  });
});
