import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  fetchCheckpoint,
  fetchToFile,
  type GetObject,
} from '../../../../runner-image/src/checkpoint/fetch-checkpoint.ts';
import { CHECKPOINT_FETCH_TRIES_MAX } from '../../../../shared/limits.ts';
import { manualClock } from '../manual-clock.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fetch-checkpoint-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const never = new AbortController().signal;
type Got = Awaited<ReturnType<GetObject>>;
const source = { url: 'u', sizeBytes: 4, sha256: sha256('good') };
const good: Got = { kind: 'stored', sizeBytes: 4, sha256: sha256('good') };

const ask = async (answers: Got[], signal = never) => {
  const clock = manualClock();
  let tries = 0;
  const result = fetchCheckpoint(
    async () => {
      tries += 1;
      return answers.shift() ?? { kind: 'failed', why: 'cut' };
    },
    source,
    'p',
    { clock, signal },
  );
  for (let turns = 0; turns < 20; turns++) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(60_000);
  }
  return { result: await result, tries };
};

describe('fetchCheckpoint', () => {
  const unusable = { kind: 'unusable', why: expect.any(String) };
  const unreachable = { kind: 'unreachable', why: expect.any(String) };
  it.each<[string, Got[], object, number]>([
    ['what was promised', [good], { kind: 'fetched' }, 1],
    ['after cuts', [{ kind: 'failed', why: 'cut' }, { kind: 'answer', status: 503 }, good], { kind: 'fetched' }, 3],
    ['after half of it', [{ kind: 'stored', sizeBytes: 3, sha256: 'x' }, good], { kind: 'fetched' }, 2],
    ['other bytes', [{ ...good, sha256: sha256('evil') }], unusable, 1],
    ['more bytes', [{ ...good, sizeBytes: 5 }], unusable, 1],
    ['gone', [{ kind: 'answer', status: 404 }], unusable, 1],
    ['refused', [{ kind: 'answer', status: 403 }], unreachable, 1],
    ['away', [], unreachable, CHECKPOINT_FETCH_TRIES_MAX],
  ])('%s', async (_what, answers, expected, tries) => {
    expect(await ask(answers)).toEqual({ result: expected, tries });
  });

  it('asks no more once the session ends', async () => {
    expect(await ask([], AbortSignal.abort())).toMatchObject({ tries: 0 });
  });
});

describe('fetchToFile', () => {
  const serve = async (answer: RequestListener, act: (url: string) => Promise<void>): Promise<void> => {
    const server = createServer(answer);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      await act(`http://127.0.0.1:${(server.address() as AddressInfo).port}/x`);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  };
  const path = () => join(folder, 'file');

  it('stores the bytes and their hash, and replaces what was there', async () => {
    for (const text of ['a longer text', 'text'])
      await serve(
        (_request, response) => response.end(text),
        async (url) => {
          expect(await fetchToFile(url, path(), 100, never)).toEqual({
            kind: 'stored',
            sizeBytes: text.length,
            sha256: sha256(text),
          });
          expect(readFileSync(path(), 'utf8')).toBe(text);
        },
      );
  });

  it('takes no more than was promised', async () => {
    await serve(
      (_request, response) => {
        const more = (): void => {
          while (response.write(Buffer.alloc(65_536)));
          response.once('drain', more);
        };
        more();
      },
      async (url) => {
        const got = await fetchToFile(url, path(), 1_000_000, never);
        expect(got.kind === 'stored' && got.sizeBytes > 1_000_000 && got.sizeBytes < 3_000_000).toBe(true);
        expect(readFileSync(path()).length).toBeLessThanOrEqual(1_000_000);
      },
    );
  });

  it('tells a refusal, a cut and an end of the session', async () => {
    await serve(
      (_request, response) => response.writeHead(403).end('no'),
      async (url) => expect(await fetchToFile(url, path(), 10, never)).toEqual({ kind: 'answer', status: 403 }),
    );
    await serve(
      (request) => request.socket.destroy(),
      async (url) => expect(await fetchToFile(url, path(), 10, never)).toMatchObject({ kind: 'failed' }),
    );
    await serve(
      () => {},
      async (url) =>
        expect(await fetchToFile(url, path(), 10, AbortSignal.timeout(50))).toMatchObject({ kind: 'failed' }),
    );
  });
});
