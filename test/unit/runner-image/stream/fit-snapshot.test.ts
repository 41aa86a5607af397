import headless from '@xterm/headless';
import { describe, expect, test } from 'vitest';
import { screenModel } from '../../../../runner-image/src/stream/screen-model.ts';

const size = { cols: 40, rows: 5 };
const LINES = 300;
/** Each line in colours of its own, which a snapshot must carry. */
const colored = (line: number): string => `\x1b[38;2;${line % 256};7;9mline ${String(line).padStart(3, '0')}\x1b[m`;
const text = Array.from({ length: LINES }, (_, line) => colored(line)).join('\r\n');

const linesOf = async (data: string): Promise<string[]> => {
  const terminal = new headless.Terminal({ ...size, scrollback: 2_000, allowProposedApi: true });
  await new Promise<void>((resolve) => terminal.write(data, resolve));
  const { active } = terminal.buffer;
  const lines = Array.from({ length: active.length }, (_, row) => active.getLine(row)?.translateToString(true) ?? '');
  terminal.dispose();
  return lines;
};
const snapshotWithin = async (snapshotMaxBytes: number): Promise<string> => {
  const model = screenModel({ ...size, snapshotMaxBytes });
  await model.write(text);
  const taken = model.snapshot();
  model.dispose();
  if (taken.kind !== 'snapshot') throw new Error('not at ground');
  return taken.data;
};
const jsonBytes = (data: string): number => Buffer.byteLength(JSON.stringify(data));

describe('a snapshot that is too large', () => {
  test.each([10_000, 3_000, 600])('fits into %i bytes and has lost its oldest lines only', async (maxBytes) => {
    const data = await snapshotWithin(maxBytes);
    expect(jsonBytes(data)).toBeLessThanOrEqual(maxBytes);
    const lines = await linesOf(data);
    expect(lines).toEqual(
      Array.from({ length: LINES }, (_, line) => `line ${String(line).padStart(3, '0')}`).slice(-lines.length),
    );
    expect(lines.length).toBeGreaterThanOrEqual(size.rows);
    // Not cut far below what would have fitted.
    if (maxBytes >= 3_000) expect(jsonBytes(data)).toBeGreaterThan(maxBytes / 3);
  });

  test('shows its screen without colours when that alone is too large', async () => {
    const data = await snapshotWithin(100);
    expect(jsonBytes(data)).toBeLessThanOrEqual(100);
    expect((await linesOf(data)).filter((line) => line !== '')).toEqual(
      ['295', '296', '297', '298', '299'].map((line) => `line ${line}`),
    );
  });

  test('stays whole while it fits', async () => {
    expect(await linesOf(await snapshotWithin(1_000_000))).toHaveLength(LINES);
  });
});
