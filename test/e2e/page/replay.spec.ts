/** What a session printed, played back by the standard player in the page: its last screen is the recorded one, its marks lead to their places. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from '@playwright/test';
import type { TranscriptChunk } from '../../../shared/http.ts';
import { mockEvents, mockSession } from '../mock/mock-data.ts';
import { expect, test } from './fixtures.ts';

// Both are CommonJS: the test runner's loader finds their exports only so.
const load = createRequire(import.meta.url);
const { Terminal } = load('@xterm/headless') as typeof import('@xterm/headless');
const { Unicode11Addon } = load('@xterm/addon-unicode11') as typeof import('@xterm/addon-unicode11');

type Size = { cols: number; rows: number };
type Part = TranscriptChunk['parts'][number];

/** A recorded session of a real CLI, as it was read from its PTY. */
const trace = (): { atMs: number; data: string }[] => {
  const file = new URL('../../fixtures/terminal/claude-pty-trace.jsonl', import.meta.url);
  const decoder = new TextDecoder();
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const { t, b } = JSON.parse(line) as { t: number; b: string };
      return { atMs: Math.round(t), data: decoder.decode(Buffer.from(b, 'base64'), { stream: true }) };
    });
};

/** The rows of the screen after what was written, at the sizes it had. */
const screenOf = async (parts: readonly Part[], size: Size): Promise<string[]> => {
  const terminal = new Terminal({ ...size, allowProposedApi: true });
  terminal.loadAddon(new Unicode11Addon());
  terminal.unicode.activeVersion = '11';
  for (const part of parts) {
    if (part.k === 'r') terminal.resize(part.cols, part.rows);
    else await new Promise<void>((resolve) => terminal.write(part.data, resolve));
  }
  const { active } = terminal.buffer;
  const rows = Array.from(
    { length: terminal.rows },
    (_, row) =>
      active
        .getLine(active.baseY + row)
        ?.translateToString(true)
        .trimEnd() ?? '',
  );
  terminal.dispose();
  return rows;
};

const START_MS = 1_767_225_600_000;
const chunksOf = (sessionId: string, parts: readonly Part[], size: Size, each: number): TranscriptChunk[] => {
  const chunks: TranscriptChunk[] = [];
  for (let at = 0; at < parts.length; at += each) {
    const mine = parts.slice(at, at + each);
    const [first, last] = [mine[0], mine.at(-1)];
    const endOffset = (last?.offset ?? 0) + (last?.k === 'o' ? Buffer.byteLength(last.data) : 0);
    chunks.push({
      ...{ v: 1, sessionId, epoch: 1, number: chunks.length, firstOffset: first?.offset ?? 0, endOffset },
      // Seen where the chunk before it is missing; none is.
      keyframe: { ...size, sizeRev: 0, data: '\u001bcmissing' },
      parts: mine,
    });
  }
  const [zero] = chunks;
  if (zero !== undefined) chunks[0] = { ...zero, keyframe: { ...zero.keyframe, data: '\u001bc' } };
  return chunks;
};
const partsOf = (pieces: readonly { atMs: number; data: string }[]): Part[] => {
  let offset = 0;
  return pieces.map(({ atMs, data }) => {
    const part: Part = { k: 'o', ts: START_MS + atMs, offset, data };
    offset += Buffer.byteLength(data);
    return part;
  });
};

type WithPlayer = Window & {
  __villageReplay?: {
    seek(to: unknown): Promise<unknown>;
    getCurrentTime(): Promise<number>;
    getDuration(): Promise<number>;
  };
};
/** Once the recording is loaded, or the seek would be lost. */
const seek = async (page: Page, to: unknown): Promise<void> => {
  await expect
    .poll(() => page.evaluate(async () => (await (window as WithPlayer).__villageReplay?.getDuration()) ?? 0))
    .toBeGreaterThan(0);
  await page.evaluate(async (where) => (window as WithPlayer).__villageReplay?.seek(where), to);
};
/** What the player shows, row by row. */
const shown = (page: Page): Promise<string[]> =>
  page.evaluate(() =>
    Array.from(document.querySelectorAll('[data-testid=replay-player] .ap-line'), (line) =>
      (line.textContent ?? '').replaceAll('\u00a0', ' ').trimEnd(),
    ),
  );

const open = async (page: Page, sessionId: string): Promise<void> => {
  await page.goto(`/sessions/${sessionId}`);
  await page.getByTestId('tab-replay').click();
  await expect(page.getByTestId('replay-player')).toBeVisible();
};

test('a recorded session of a real CLI ends on the recorded screen', async ({ page, village }) => {
  const size = { cols: 120, rows: 40 };
  const parts = partsOf(trace());
  const head = { epoch: 1, offset: 1, seq: 0 };
  const session = mockSession(1, { state: 'completed', head, endedAt: new Date().toISOString() });
  village.add(session, { chunks: chunksOf(session.sessionId, parts, size, 50) });
  await open(page, session.sessionId);
  await seek(page, '100%');
  const expected = await screenOf(parts, size);
  expect(expected.filter((row) => row !== '').length).toBeGreaterThan(5);
  await expect.poll(() => shown(page)).toEqual(expected);
});

test('sizes change where they did, and marks lead to their places', async ({ page, village }) => {
  const ts = (sec: number) => START_MS + sec * 1_000;
  const parts: Part[] = [
    { k: 'o', ts: ts(0), offset: 0, data: 'first screen\r\n' },
    { k: 'o', ts: ts(3_600), offset: 14, data: 'an hour later\r\n' },
    { k: 'r', ts: ts(3_601), offset: 29, sizeRev: 1, cols: 50, rows: 6 },
    { k: 'o', ts: ts(3_602), offset: 29, data: '\u001b[2J\u001b[Hwider 漢字 \u001b[31mred\u001b[0m' },
  ];
  const session = mockSession(1, { head: { epoch: 1, offset: 29, seq: 0 } });
  const marked = mockEvents(session, [
    { type: 'turn_started', turn: 1, prompt: 'say something', offset: 0, ts: ts(0) },
    { type: 'turn_finished', turn: 1, tookMs: 1, offset: 29, ts: ts(3_600) },
  ]);
  village.add(session, { events: marked, chunks: chunksOf(session.sessionId, parts, { cols: 40, rows: 6 }, 2) });
  await open(page, session.sessionId);
  await seek(page, '100%');
  await expect.poll(() => shown(page)).toEqual(['wider 漢字 red', '', '', '', '', '']);

  const marks = page.getByTestId('replay-mark');
  await expect(marks).toHaveText([/0:00\s*turn 1: say something/, /1:00:0[01]\s*turn 1 finished/]);
  await marks.first().click();
  await expect.poll(() => shown(page)).toEqual(expect.not.arrayContaining(['wider 漢字 red']));
  await marks.nth(1).click();
  await expect.poll(async () => (await shown(page)).slice(0, 2)).toEqual(['first screen', 'an hour later']);
  await expect(marks.nth(1)).toHaveAttribute('aria-current', 'step');
  // The pause of an hour is in the file, and played in seconds.
  expect(await page.evaluate(() => (window as WithPlayer).__villageReplay?.getDuration())).toBeLessThan(10);

  await page.getByTestId('replay-leave').click();
  await expect(page.getByTestId('replay')).toHaveCount(0);
  await expect(page.getByTestId('terminal')).toBeVisible();
});

test('a session without stored output says so', async ({ page, village }) => {
  const session = mockSession(1);
  village.add(session);
  await page.goto(`/sessions/${session.sessionId}`);
  await page.getByTestId('tab-replay').click();
  await expect(page.getByTestId('replay-empty')).toBeVisible();
});

test('the player comes with its tab alone, and the policy that lets it run lets no text become code', async ({
  page,
  village,
  complaints,
}) => {
  const loaded: string[] = [];
  page.on('request', (request) => loaded.push(new URL(request.url()).pathname));
  const ofPlayer = (): string[] => loaded.filter((path) => /replay|asciinema/.test(path));
  const parts = partsOf([
    { atMs: 0, data: 'hello' },
    { atMs: 1_000, data: ' again' },
  ]);
  const session = mockSession(1, { head: { epoch: 1, offset: 11, seq: 0 } });
  village.add(session, { chunks: chunksOf(session.sessionId, parts, { cols: 40, rows: 6 }, 1) });
  for (const path of ['/', '/new', '/runners', `/sessions/${session.sessionId}`]) {
    await page.goto(path);
    await page.waitForLoadState('networkidle');
  }
  expect(ofPlayer()).toEqual([]);
  await page.getByTestId('tab-replay').click();
  await seek(page, '100%');
  await expect.poll(async () => (await shown(page))[0]).toBe('hello again');
  expect(ofPlayer()).not.toEqual([]);

  expect(complaints).toEqual([]);
  // In a turn of its own: what the test itself evaluates may evaluate.
  const evaluated = await page.evaluate(
    () =>
      new Promise((resolve) => {
        setTimeout(() => {
          try {
            resolve(Function('return "ran"')());
          } catch (error) {
            resolve((error as Error).name);
          }
        });
      }),
  );
  expect(evaluated).toBe('EvalError');
  await page.evaluate(() => {
    const inline = document.createElement('script');
    inline.textContent = 'window.wasInjected = true';
    document.head.append(inline);
    new Worker(URL.createObjectURL(new Blob(['postMessage(1)'])));
  });
  expect(await page.evaluate(() => 'wasInjected' in window)).toBe(false);
  await expect.poll(() => complaints.join('\n')).toMatch(/inline script[\s\S]*worker-src 'none'/);
  complaints.splice(0);
});
