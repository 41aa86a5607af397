/**
 * A viewer that joins anywhere sees what one that was there from the beginning sees. At every cut the terminal made of the snapshot at
 * the nearest safe point before it, and of what the stream held from there, is compared with the terminal of the whole stream in all
 * that decides how both go on: what is equal at a cut is equal for whatever follows.
 */
import { readFileSync } from 'node:fs';
import type { Terminal } from '@xterm/headless';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { splitForFrames } from '../../../../runner-image/src/stream/frame-splitter.ts';
import { type ScreenModel, screenModel } from '../../../../runner-image/src/stream/screen-model.ts';
import { utf8Decoder } from '../../../../runner-image/src/stream/utf8-decoder.ts';
import { SnapshotParts } from '../../../../shared/viewer/snapshot-parts.ts';
import { NASTY_SIZE, NASTY_STREAMS, type NastyPart } from './nasty-streams.ts';
import { openTerminal, type Size, terminalState, write } from './terminal-state.ts';

/** Small, so that each snapshot comes in several parts. */
const PART_BYTES = 512;
const SCROLLBACK = 60;
/** Text that is held back at a cut is at most this long in these streams. */
const RECENT_CHARS = 8_000;

/** The snapshot as a watcher gets it: in parts, the last one first. */
const throughParts = (data: string, size: Size): string => {
  const texts = splitForFrames(data, PART_BYTES).map(({ text }) => text);
  const parts = new SnapshotParts();
  let whole: string | null = null;
  for (const [part, text] of [...texts.entries()].reverse())
    whole ??= parts.add({
      ...{ type: 'terminal_snapshot', sessionId: 'ses_00000000000000000000000001', viewerId: 'viewer', epoch: 1 },
      ...{ snapshotId: 'one', part, parts: texts.length, offset: 0, sizeRev: 0, ...size, data: text },
    } as Parameters<SnapshotParts['add']>[0]);
  if (whole === null) throw new Error('the parts make no whole');
  return whole;
};

class Cuts {
  readonly #model: ScreenModel;
  readonly #whole: Terminal;
  #joined: Terminal;
  #recent = '';
  readonly different = new Map<string, string>();
  /** Cuts where no snapshot can be taken, as they lie inside a control string that is too long to hold. */
  unsafe = 0;
  cuts = 0;

  constructor(size: Size, scrollback = SCROLLBACK) {
    this.#model = screenModel({ ...size, scrollbackLines: scrollback });
    this.#whole = openTerminal(size, scrollback);
    this.#joined = openTerminal(size, scrollback);
  }

  async write(text: string): Promise<void> {
    await this.#model.write(text);
    await write(this.#whole, text);
    this.#recent = (this.#recent + text).slice(-RECENT_CHARS);
  }

  async resize({ cols, rows }: Size): Promise<void> {
    await this.#model.resize(cols, rows);
    this.#whole.resize(cols, rows);
  }

  async compare(): Promise<void> {
    this.cuts += 1;
    const taken = this.#model.snapshot();
    if (taken.kind !== 'snapshot') {
      this.unsafe += 1;
      return;
    }
    // The same viewer again and again: what it showed before must leave no trace.
    if (this.#joined.cols !== taken.cols || this.#joined.rows !== taken.rows)
      this.#joined.resize(taken.cols, taken.rows);
    const recent = Buffer.from(this.#recent);
    const held = recent.subarray(recent.length - this.#model.heldBytes).toString();
    await write(this.#joined, `\x18${throughParts(taken.data, taken)}${held}`);
    const joined: Record<string, unknown> = terminalState(this.#joined);
    for (const [name, value] of Object.entries(terminalState(this.#whole)))
      if (JSON.stringify(joined[name]) !== JSON.stringify(value) && !this.different.has(name))
        this.different.set(name, `first after ${JSON.stringify(this.#recent.slice(-40))}`);
  }

  /** Inside a sequence: the snapshot is that of the cut before it, and what is held follows it in both terminals. */
  get isBetweenSafePoints(): boolean {
    return this.#model.heldBytes > 0;
  }

  dispose(): void {
    for (const terminal of [this.#model, this.#whole, this.#joined]) terminal.dispose();
  }
}

const everywhere = async (parts: readonly NastyPart[], size: Size): Promise<Cuts> => {
  const cuts = new Cuts(size);
  for (const part of parts) {
    for (const character of typeof part === 'string' ? part : []) {
      await cuts.write(character);
      await cuts.compare();
    }
    if (typeof part === 'string') continue;
    await cuts.resize(part);
    await cuts.compare();
  }
  cuts.dispose();
  return cuts;
};

describe('at every cut', () => {
  const exact = NASTY_STREAMS.filter(({ gap }) => gap === undefined);
  test.each(exact.map((stream) => [stream.name, stream.parts] as const))('%s', async (_, parts) => {
    const { different, cuts, unsafe } = await everywhere(parts, NASTY_SIZE);
    expect(Object.fromEntries(different)).toEqual({});
    expect(cuts).toBeGreaterThan(10);
    expect(unsafe).toBe(0);
  });

  const known = NASTY_STREAMS.filter(({ gap }) => gap !== undefined);
  test.each(known.map((stream) => [stream.name, stream] as const))('known gap: %s', async (_, { parts, gap = [] }) => {
    const { different } = await everywhere(parts, NASTY_SIZE);
    expect(different.size).toBeGreaterThan(0);
    expect(gap).toEqual(expect.arrayContaining([...different.keys()]));
  });
});

/** What a real CLI wrote, as it was read from its PTY. */
const recording = (): string[] => {
  const Read = z.object({ t: z.number(), b: z.string() });
  const file = new URL('../../../fixtures/terminal/claude-pty-trace.jsonl', import.meta.url);
  const decoder = utf8Decoder();
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => decoder.push(Buffer.from(Read.parse(JSON.parse(line)).b, 'base64')));
};
const RECORDED_SIZE = { cols: 120, rows: 40 };
/** Scrolled out, and kept: with every cut compared the lines count twice. */
const FEW_LINES = 12;
/** One cut in so many, at other places in each read: all of them take minutes. */
const SAMPLED = process.env.VILLAGE_LONG ? 1 : 97;

describe('a recording of a real CLI', () => {
  test('after every read', async () => {
    const cuts = new Cuts(RECORDED_SIZE);
    for (const read of recording()) {
      await cuts.write(read);
      await cuts.compare();
    }
    expect(Object.fromEntries(cuts.different)).toEqual({});
    expect(cuts.unsafe).toBe(0);
    cuts.dispose();
  }, 60_000);

  test(`at every cut${SAMPLED === 1 ? '' : `, one in ${SAMPLED} (all of them in test:long)`}`, async () => {
    const cuts = new Cuts(RECORDED_SIZE, FEW_LINES);
    let pending = '';
    let at = 0;
    let skipped = 0;
    for (const character of recording().join('')) {
      pending += character;
      at += 1;
      if (at % SAMPLED !== 0) continue;
      await cuts.write(pending);
      pending = '';
      if (cuts.isBetweenSafePoints) skipped += 1;
      else await cuts.compare();
    }
    expect(Object.fromEntries(cuts.different)).toEqual({});
    expect(cuts.unsafe).toBe(0);
    expect(cuts.cuts + skipped).toBe(Math.floor(at / SAMPLED));
    expect(cuts.cuts).toBeGreaterThan(skipped / 10);
    cuts.dispose();
  }, 3_600_000);
});
