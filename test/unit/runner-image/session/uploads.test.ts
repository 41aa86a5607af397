import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { silentLog } from '../../../../runner-image/src/log.ts';
import { Uploads } from '../../../../runner-image/src/session/uploads.ts';
import type { UploadGrant, UploadWish } from '../../../../shared/frames.ts';
import { manualClock } from '../manual-clock.ts';

type Answer = { kind: 'answer'; status: number } | { kind: 'failed'; why: string };

const setup = (answers: Answer[]) => {
  const clock = manualClock();
  const wishes: UploadWish[] = [];
  const puts: string[] = [];
  const uploads = new Uploads({
    clock,
    log: silentLog,
    put: async (url) => {
      puts.push(url);
      return answers.shift() ?? { kind: 'failed', why: 'unexpected' };
    },
    wish: (wish) => wishes.push(wish),
  });
  const grant = (number: number): UploadGrant => ({
    kind: 'diff',
    number,
    key: `k${number}`,
    url: `u${number}`,
    headers: {},
    expiresAtMs: 0,
  });
  return { clock, wishes, puts, uploads, grant };
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
    const stored = uploads.store('diff', 1, body, false);
    clock.advance(15_000);
    expect(wishes).toHaveLength(2);
    clock.advance(15_000 * 10);
    expect(await stored).toMatchObject({ kind: 'failed' });
    expect(clock.timers).toBe(0);
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

  it('settles what waits when it is closed, and takes nothing more', async () => {
    const { uploads, wishes } = setup([]);
    const waiting = uploads.store('diff', 1, body, true);
    uploads.close('over');
    expect(await waiting).toEqual({ kind: 'failed', why: 'over' });
    expect(await uploads.store('diff', 2, body, true)).toMatchObject({ kind: 'failed' });
    expect(wishes).toHaveLength(1);
  });
});
