import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { silentLog } from '../../../../runner-image/src/log.ts';
import { Uploads } from '../../../../runner-image/src/session/uploads.ts';
import type { UploadGrant, UploadWish } from '../../../../shared/frames.ts';
import { manualClock } from '../manual-clock.ts';

type Answer = { kind: 'answer'; status: number } | { kind: 'failed'; why: string };

const setup = (answers: (Answer | Promise<Answer>)[], random = 0.5) => {
  const clock = manualClock();
  const wishes: UploadWish[] = [];
  const puts: string[] = [];
  const files: string[] = [];
  const uploads = new Uploads({
    clock,
    log: silentLog,
    put: async (url) => {
      puts.push(url);
      return answers.shift() ?? { kind: 'failed', why: 'unexpected' };
    },
    putFile: async (url, _headers, path) => {
      files.push(`${url} ${path}`);
      return ok;
    },
    wish: (wish) => wishes.push(wish),
    random: { next: () => random },
  });
  const grant = (number: number, kind: UploadGrant['kind'] = 'diff'): UploadGrant => ({
    kind,
    number,
    key: `k${number}`,
    url: `u${number}`,
    headers: {},
    expiresAtMs: 0,
  });
  return { clock, wishes, puts, files, uploads, grant };
};
const ok: Answer = { kind: 'answer', status: 200 };
const body = Buffer.from('body');
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('Uploads', () => {
  it('wishes with length and checksum, puts once granted, and says where', async () => {
    const { uploads, wishes, puts, grant } = setup([ok]);
    const stored = uploads.store('diff', 3, body, true);
    const sha = createHash('sha256').update(body).digest();
    expect(wishes).toEqual([{ kind: 'diff', number: 3, sizeBytes: 4, sha256Base64: sha.toString('base64') }]);
    uploads.onGrants([grant(9), grant(3)]);
    expect(await stored).toEqual({ kind: 'stored', key: 'k3', sha256: sha.toString('hex'), sizeBytes: 4 });
    expect(puts).toEqual(['u3']);
  });

  it('wishes again when no grant comes, and gives up in the end', async () => {
    const { uploads, wishes, clock } = setup([]);
    const stored = uploads.store('diff', 1, body, true);
    clock.advance(15_000);
    expect(wishes).toHaveLength(2);
    clock.advance(15_000 * 10);
    expect(await stored).toMatchObject({ kind: 'failed' });
    expect(clock.timers).toBe(0);
  });

  it('gives up what is refused for good, and says why; what is on its way or another one is not touched', async () => {
    const answer = Promise.withResolvers<Answer>();
    const { uploads, wishes, clock, grant } = setup([answer.promise]);
    const refused = uploads.store('transcript', 1, body, true);
    const sent = uploads.store('diff', 1, body, true);
    uploads.onGrants([grant(1)]);
    const refusal = { number: 1, reason: 'too_large', limit: 3 } as const;
    uploads.onRefused([
      { ...refusal, kind: 'transcript' },
      { ...refusal, kind: 'diff' },
      { ...refusal, kind: 'checkpoint' },
    ]);
    expect(await refused).toEqual({
      kind: 'failed',
      why: 'the control plane takes no transcript of this size: at most 3 bytes',
      isRefused: true,
    });
    clock.advance(15_000 * 10);
    expect(wishes).toHaveLength(2);
    answer.resolve(ok);
    expect(await sent).toMatchObject({ kind: 'stored' });
  });

  it('lets one that may wait ride on the next tick before it is wished again', () => {
    const { uploads, wishes, clock } = setup([]);
    void uploads.store('diff', 1, body, false);
    clock.advance(44_999);
    expect(wishes).toHaveLength(1);
    clock.advance(1);
    expect(wishes).toHaveLength(2);
  });

  it('takes a 412 for its own success only when the same bytes may have arrived before', async () => {
    const first = setup([{ kind: 'answer', status: 412 }]);
    const refused = first.uploads.store('diff', 1, body, true);
    first.uploads.onGrants([first.grant(1)]);
    expect(await refused).toMatchObject({ kind: 'failed' });

    const again = setup([
      { kind: 'failed', why: 'cut' },
      { kind: 'answer', status: 412 },
    ]);
    const stored = again.uploads.store('diff', 1, body, true);
    again.uploads.onGrants([again.grant(1)]);
    await settle();
    again.clock.advance(5_000);
    expect(again.wishes).toHaveLength(2);
    again.uploads.onGrants([again.grant(1)]);
    expect(await stored).toMatchObject({ kind: 'stored', key: 'k1' });
  });

  it('asks for a transcript chunk as long as the session lives, and renews a grant that has expired', async () => {
    const { uploads, wishes, clock, puts, grant } = setup([
      { kind: 'answer', status: 403 },
      { kind: 'answer', status: 503 },
      { kind: 'failed', why: 'TimeoutError' },
      ok,
    ]);
    const stored = uploads.store('transcript', 1, body, false);
    // A line that is down for a quarter of an hour.
    clock.advance(15 * 60_000);
    expect(wishes.length).toBeGreaterThan(30);
    for (let turn = 0; turn < 4; turn += 1) {
      uploads.onGrants([grant(1, 'transcript')]);
      await settle();
      clock.advance(10_000);
    }
    expect(puts).toHaveLength(4);
    expect(await stored).toMatchObject({ kind: 'stored', key: 'k1' });
    expect(clock.timers).toBe(0);
  });

  it('comes back after a pause that grows, with jitter, and is bounded', async () => {
    const pauseAfter = async (failures: number, random: number): Promise<number> => {
      const { uploads, wishes, clock, grant } = setup(
        Array.from({ length: failures }, (): Answer => ({ kind: 'answer', status: 500 })),
        random,
      );
      void uploads.store('transcript', 1, body, false);
      for (let turn = 1; turn < failures; turn += 1) {
        uploads.onGrants([grant(1, 'transcript')]);
        await settle();
        clock.advance(61_000);
      }
      uploads.onGrants([grant(1, 'transcript')]);
      await settle();
      const asked = wishes.length;
      let waitedMs = 0;
      for (; wishes.length === asked; waitedMs += 100) clock.advance(100);
      return waitedMs;
    };
    expect(await pauseAfter(1, 0)).toBe(500);
    expect(await pauseAfter(1, 0.9)).toBe(2_300);
    expect(await pauseAfter(3, 0.9)).toBe(7_700);
    expect(await pauseAfter(20, 1)).toBe(60_500);
  });

  it('sends the same bytes once at a time, however often they are granted', async () => {
    const first = Promise.withResolvers<Answer>();
    const { uploads, puts, grant } = setup([first.promise, { kind: 'answer', status: 412 }]);
    const stored = uploads.store('diff', 1, body, true);
    uploads.onGrants([grant(1)]);
    uploads.onGrants([grant(1), grant(1)]);
    await settle();
    expect(puts).toHaveLength(1);
    first.resolve(ok);
    expect(await stored).toMatchObject({ kind: 'stored' });
  });

  it('does not ask again for what the store will never take', async () => {
    const { uploads, clock, grant } = setup([{ kind: 'answer', status: 400 }]);
    const stored = uploads.store('transcript', 1, body, true);
    uploads.onGrants([grant(1, 'transcript')]);
    expect(await stored).toEqual({ kind: 'failed', why: 'refused with status 400' });
    expect(clock.timers).toBe(0);
  });

  it('streams a file whose size and hash are known, and forgets what something newer replaces', async () => {
    const { uploads, wishes, grant, files } = setup([]);
    const sha256 = createHash('sha256').update(body).digest('hex');
    const stored = uploads.store('checkpoint', 4, { path: '/archive', sizeBytes: 9, sha256 }, true);
    const sha256Base64 = Buffer.from(sha256, 'hex').toString('base64');
    expect(wishes).toEqual([{ kind: 'checkpoint', number: 4, sizeBytes: 9, sha256Base64 }]);
    uploads.onGrants([grant(4, 'checkpoint')]);
    expect(await stored).toEqual({ kind: 'stored', key: 'k4', sha256, sizeBytes: 9 });
    expect(files).toEqual(['u4 /archive']);
    const waiting = uploads.store('checkpoint', 5, { path: '/archive', sizeBytes: 9, sha256 }, true);
    uploads.forget('checkpoint', 5, 'replaced');
    uploads.forget('checkpoint', 6, 'unknown');
    expect(await waiting).toEqual({ kind: 'failed', why: 'replaced' });
  });

  it('puts a file over HTTP as it is, and says when it cannot', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'uploads-'));
    const path = join(folder, 'archive');
    writeFileSync(path, 'x'.repeat(200_000));
    const got: { length: string | undefined; body: Buffer; type: string | undefined }[] = [];
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      const { 'content-length': length, 'content-type': type } = request.headers;
      got.push({ length, type, body: Buffer.concat(chunks) });
      response.writeHead(200).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const clock = manualClock();
    const uploads = new Uploads({ clock, log: silentLog, put: async () => ok, wish: () => {} });
    const file = { path, sizeBytes: 200_000, sha256: 'ab'.repeat(32) };
    const stored = uploads.store('checkpoint', 1, file, true);
    const grant = {
      kind: 'checkpoint',
      number: 1,
      key: 'k',
      headers: { 'content-length': '200000' },
      expiresAtMs: 0,
    } as const;
    uploads.onGrants([{ ...grant, url: `http://127.0.0.1:${port}/x` }]);
    expect(await stored).toMatchObject({ kind: 'stored' });
    expect(got).toMatchObject([{ length: '200000', type: undefined, body: Buffer.from('x'.repeat(200_000)) }]);
    server.close();
    rmSync(folder, { recursive: true });
  });

  it('settles what waits when it is closed, and takes nothing more', async () => {
    const { uploads, wishes } = setup([]);
    const waiting = uploads.store('diff', 1, body, true);
    uploads.close('over');
    expect(await waiting).toEqual({ kind: 'failed', why: 'over' });
    expect(await uploads.store('diff', 2, body, true)).toMatchObject({ kind: 'failed' });
    expect(wishes).toHaveLength(1);
  });
});
