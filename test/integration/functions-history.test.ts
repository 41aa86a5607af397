/** A finished session on the real stores: its log moves to objects and its rows expire, its recording is one address; readers notice neither. */
import { gzipSync } from 'node:zlib';
import { QueryCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { platform } from '../../functions/aws/platform.ts';
import type { SessionRef } from '../../functions/sessions/session-store.ts';
import { archiveKey } from '../../functions/streams/archive-rows.ts';
import { chunkObjectKey } from '../../functions/streams/chunks.ts';
import { ingestBatch } from '../../functions/streams/ingest-batch.ts';
import { TABLES } from '../../infra/topology.ts';
import { sweepExpired } from '../../local/dynamodb/ttl-sweeper.ts';
import { tableName } from '../../local/village/handler-environment.ts';
import type { EventDraft } from '../../shared/events.ts';
import { EventPage, type TranscriptChunk, TranscriptRecording } from '../../shared/http.ts';
import { ARCHIVE_KEEP_MS } from '../../shared/limits.ts';
import { batchOf } from '../fakes/control-plane-ports.ts';
import { type ControlPlane, startControlPlane, startedShell } from './functions-harness.ts';

let plane: ControlPlane;
let token = '';
let ref: SessionRef;

const output = 'what it said\r\n';
const storeChunk = async (): Promise<EventDraft> => {
  const chunk: TranscriptChunk = {
    ...{ v: 1, sessionId: ref.sessionId, epoch: 1, number: 0, firstOffset: 0, endOffset: output.length },
    keyframe: { cols: 80, rows: 24, sizeRev: 0, data: '\u001bc' },
    parts: [{ k: 'o', ts: 1_767_225_600_000, offset: 0, data: output }],
  };
  const body = gzipSync(JSON.stringify(chunk));
  const { objects } = platform();
  const { url, headers } = await objects.presignPut({
    ...{ key: chunkObjectKey(ref, 1, 0), sizeBytes: body.length, ttlMs: 60_000 },
    sha256Base64: Buffer.from(await crypto.subtle.digest('SHA-256', body)).toString('base64'),
  });
  const { 'content-length': _length, ...sent } = headers;
  expect((await fetch(url, { method: 'PUT', headers: sent, body })).status).toBe(200);
  const { number, firstOffset, endOffset } = chunk;
  return {
    type: 'transcript_chunk_stored',
    ...{ number, firstOffset, endOffset },
    key: 'k',
    sizeBytes: body.length,
    sha256: '',
  };
};

beforeAll(async () => {
  plane = await startControlPlane();
  token = (await plane.bootstrap('acme')).token;
  ref = { tenantId: 'acme', sessionId: (await startedShell(plane, token)).sessionId };
  const message = (text: string): EventDraft => ({ type: 'provider_message', role: 'assistant', text });
  for (let rseq = 1; rseq <= 40; rseq += 2)
    expect(
      await ingestBatch(platform(), ref, batchOf(ref, rseq, [message(`${rseq}`), message('x'.repeat(5_000))])),
    ).toMatchObject({ kind: 'ack' });
  const failing: EventDraft = { type: 'session_state_changed', fromState: 'created', toState: 'failed', reason: null };
  await ingestBatch(platform(), ref, batchOf(ref, 41, [await storeChunk(), failing]));
  await ingestBatch(platform(), ref, batchOf(ref, 43, [message('late')]));
});
afterAll(() => plane.stop());

const history = async (limit: number) => {
  const events = [];
  for (let from = 0; ; ) {
    const { body } = await plane.http('GET', `/api/sessions/${ref.sessionId}/events?fromSeq=${from}&limit=${limit}`, {
      token,
    });
    const page = EventPage.parse(body);
    events.push(...page.events);
    if (page.nextSeq > page.headSeq) return events;
    from = page.nextSeq;
  }
};
const rowsLeft = async (): Promise<number> => {
  const { Count = 0 } = await plane.client.send(
    new QueryCommand({
      TableName: tableName('events'),
      KeyConditionExpression: 'pk = :pk',
      ExpressionAttributeValues: { ':pk': { S: `T#acme#S#${ref.sessionId}` } },
      Select: 'COUNT',
    }),
  );
  return Count;
};

describe('the history of a finished session', () => {
  test('is the same before the archive, after it, and when the rows are gone', async () => {
    const before = await history(1_000);
    expect(before.length).toBe(43);
    expect(await plane.invoke('archive-events', {})).toMatchObject({ checked: 0 });
    await platform().db.write({ kind: 'update', table: 'sessions', key: archiveKey(ref), set: { archiveAtMs: 1 } });
    expect(await plane.invoke('archive-events', {})).toEqual({ checked: 1, archived: 1, failed: 0 });
    expect(await history(7)).toEqual(before);

    const rows = await rowsLeft();
    expect(rows).toBeGreaterThan(20);
    const tables = TABLES.map((table) => ({ ...table, name: tableName(table.name) })).filter(
      ({ name }) => name === tableName('events'),
    );
    expect(await sweepExpired({ client: plane.client, tables, nowMs: Date.now() })).toBe(0);
    expect(await sweepExpired({ client: plane.client, tables, nowMs: Date.now() + ARCHIVE_KEEP_MS + 60_000 })).toBe(
      rows,
    );
    expect(await rowsLeft()).toBe(0);
    for (const limit of [3, 1_000]) expect(await history(limit)).toEqual(before);
  });
});

describe('the recording', () => {
  test('is a redirect to an asciicast that anybody with the address may fetch', async () => {
    const answer = await plane.http('GET', `/api/sessions/${ref.sessionId}/transcript?format=asciicast`, { token });
    expect(answer.status).toBe(302);
    const { url } = TranscriptRecording.parse(answer.body);
    const response = await fetch(url);
    expect(response.headers.get('content-type')).toBe('application/x-asciicast');
    const lines = (await response.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines[0]).toMatchObject({ version: 2, width: 80, height: 24 });
    expect(
      lines
        .slice(1)
        .filter(([, code]) => code === 'o')
        .map(([, , data]) => data),
    ).toEqual(['\u001bc', output]);
    expect(lines.at(-1)).toMatchObject([expect.any(Number), 'm', 'state: failed']);
  });

  test.each(['asciicast&from=x', 'ascii', 'asciicast&from=1'])(
    'format=%s is refused with what is wrong',
    async (query) => {
      const { status, body } = await plane.http('GET', `/api/sessions/${ref.sessionId}/transcript?format=${query}`, {
        token,
      });
      expect(status).toBe(400);
      expect(body.code).toBe('invalid_request');
    },
  );
});

test('objects are written once, and read back no further than asked', async () => {
  const { objects } = platform();
  const put = async (key: string, text: string) => {
    const body = Buffer.from(text);
    const sha256Base64 = Buffer.from(await crypto.subtle.digest('SHA-256', body)).toString('base64');
    return objects.putOnce({ key, body, sha256Base64 });
  };
  expect(await put('tenants/acme/x', 'first')).toBe('stored');
  expect(await put('tenants/acme/x', 'second')).toBe('taken');
  expect(Buffer.from((await objects.getBytes('tenants/acme/x', 100)) ?? []).toString()).toBe('first');
  expect(Buffer.from((await objects.getBytes('tenants/acme/x', 2)) ?? []).toString()).toBe('fir');
  expect(await objects.getBytes('tenants/acme/none', 100)).toBeNull();
  expect(await put('tenants/acme/empty', '')).toBe('stored');
  expect(await objects.getBytes('tenants/acme/empty', 100)).toEqual(new Uint8Array());
  await expect(
    objects.putOnce({ key: 'tenants/acme/y', body: Buffer.from('a'), sha256Base64: `${'A'.repeat(43)}=` }),
  ).rejects.toThrow();
});
