import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSpool, type Spool } from '../../../../runner-image/src/stream/spool.ts';
import { type OutputPiece, openTerminalStream } from '../../../../runner-image/src/stream/terminal-stream.ts';
import { cut, cuts } from './cuts.ts';
import { manualClock } from './manual-clock.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'terminal-stream-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const everything = (spool: Spool): string => {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const read = spool.read(spool.baseOffset + bytes.length, 1_000);
    if (read.kind === 'dropped') throw new Error('dropped');
    if (read.bytes.length === 0) return bytes.toString();
    bytes = Buffer.concat([bytes, read.bytes]);
  }
};
const start = (at = folder, secrets: string[] = ['topsecret']) => {
  const { clock, move } = manualClock();
  const spool = openSpool({ folder: at, epoch: 3 });
  const acks: number[] = [];
  const pieces: OutputPiece[] = [];
  const answers: string[] = [];
  const redactions: number[] = [];
  const stream = openTerminalStream({
    epoch: 3,
    spool,
    cols: 40,
    rows: 10,
    secrets,
    clock,
    ack: (raw) => acks.push(raw),
    onAnswer: (data) => answers.push(data),
    onRedactions: (count) => redactions.push(count),
  });
  stream.subscribe((piece) => pieces.push(piece));
  return { stream, spool, acks, pieces, answers, redactions, move };
};

describe('terminal stream', () => {
  test('pieces carry offsets in bytes of the redacted stream, and acks follow the spool', () => {
    const { stream, spool, acks, pieces, redactions } = start();
    stream.accept(Buffer.from('ä topse'), 0);
    expect(acks).toEqual([3]);
    stream.accept(Buffer.from('cret!\x1b]52;c;x\x07'), 8);
    expect(pieces.map(({ offset, endOffset, text }) => [offset, endOffset, text])).toEqual([
      [0, 3, 'ä '],
      [3, 13, '*********!'],
    ]);
    expect(everything(spool)).toBe('ä *********!');
    expect(acks).toEqual([3, Buffer.byteLength('ä topsecret!\x1b]52;c;x\x07')]);
    expect(redactions).toEqual([1]);
  });

  test('what is before an unfinished sequence is safe: a restart reads the sequence again', () => {
    const first = start();
    first.stream.accept(Buffer.from('drawn\x1b[3'), 0);
    expect(first.acks).toEqual([5]);
    first.stream.accept(Buffer.from('1m tops'), 8);
    first.stream.accept(Buffer.from('\x1b]0;tit'), 15);
    expect(first.acks.at(-1)).toBe(11);
    first.stream.dispose();
    first.spool.close();
    const { stream, spool } = start();
    expect(stream.resumeRawOffset).toBe(11);
    stream.accept(Buffer.from('tops\x1b]0;title\x07ecret'), 11);
    expect(everything(spool)).toBe('drawn\x1b[31m tops\x1b]0;title\x07ecret');
  });

  test('silence decides what is held back', () => {
    const { stream, pieces, acks, move } = start();
    stream.accept(Buffer.from('$ tops'), 0);
    expect(pieces.map(({ text }) => text)).toEqual(['$ ']);
    move(50);
    expect(pieces.map(({ text }) => text)).toEqual(['$ ', '****']);
    stream.accept(Buffer.from('ecret.'), 6);
    expect(pieces.at(-1)).toMatchObject({ offset: 6, endOffset: 12, text: '*****.' });
    expect(acks).toEqual([2, 12]);
  });

  test('an echo is shown at once, and a restart does not forget that it may begin a secret', () => {
    const first = start();
    for (const [index, key] of [...'$ to'].entries()) first.stream.accept(Buffer.from(key), index);
    expect(first.pieces.map(({ text }) => text).join('')).toBe('$ to');
    first.stream.dispose();
    first.spool.close();
    const { stream, spool } = start();
    expect(stream.resumeRawOffset).toBe(2);
    stream.accept(Buffer.from('topsecret!'), 2);
    expect(everything(spool)).toBe('$ *********!');
  });

  test('a flood that looks like the inside of a secret is acknowledged after silence', () => {
    const { stream, acks, move } = start(folder, ['aaaaaaaa']);
    stream.accept(Buffer.from('a'.repeat(5_000)), 0);
    move(50);
    expect(acks).toEqual([5_000]);
  });

  test('bytes seen before are ignored, missing ones throw', () => {
    const { stream, pieces } = start();
    stream.accept(Buffer.from('abc'), 0);
    stream.accept(Buffer.from('bcd'), 1);
    expect(pieces.map(({ text }) => text)).toEqual(['abc', 'd']);
    expect(() => stream.accept(Buffer.from('x'), 9)).toThrow(/missing/);
  });

  test('a resize separates pieces, and the snapshot says its size', async () => {
    const { stream, pieces } = start();
    stream.accept(Buffer.from('one'), 0);
    expect(stream.resize(60, 20)).toEqual({ sizeRev: 1, cols: 60, rows: 20 });
    stream.accept(Buffer.from('two'), 3);
    expect(pieces.map(({ text, sizeRev, cols }) => [text, sizeRev, cols])).toEqual([
      ['one', 0, 40],
      ['two', 1, 60],
    ]);
    expect(await stream.snapshot()).toMatchObject({
      kind: 'snapshot',
      snapshot: { epoch: 3, offset: 6, sizeRev: 1, cols: 60 },
    });
    expect(stream.screenText()).toBe('onetwo');
  });

  test('a snapshot inside a sequence is that of the ground before it', async () => {
    const { stream } = start();
    stream.accept(Buffer.from('ab\x1b[3'), 0);
    expect(await stream.snapshot()).toMatchObject({ snapshot: { offset: 2 } });
  });

  test('a crash at any point, with any cuts, gives the same stream as none', async () => {
    const raw = Buffer.from(
      'grün topsecret \x1b[31mred\x1b]52;c;zzz\x07 top\u{1f600} topsecre topsecrettopsecret \xff end'.repeat(3),
    );
    const plain = start(join(folder, 'plain'));
    plain.stream.accept(raw, 0);
    plain.stream.end();
    const expected = everything(plain.spool);
    expect(expected).not.toContain('topsecret');
    let run = 0;
    fc.assert(
      fc.property(cuts, cuts, fc.array(fc.nat(200), { minLength: 1, maxLength: 4 }), (sizes, otherSizes, crashes) => {
        run += 1;
        const at = join(folder, String(run));
        let current = start(at);
        let acked = 0;
        for (const [index, crash] of crashes.entries()) {
          let offset = current.stream.resumeRawOffset;
          // What pty-host forgot cannot be read again.
          expect(offset).toBeGreaterThanOrEqual(acked);
          for (const piece of cut(raw.subarray(offset, offset + crash), index % 2 ? otherSizes : sizes)) {
            current.stream.accept(piece, offset);
            offset += piece.length;
          }
          acked = current.acks.at(-1) ?? acked;
          current.stream.dispose();
          current.spool.close();
          current = start(at);
        }
        const offset = current.stream.resumeRawOffset;
        current.stream.accept(raw.subarray(offset), offset);
        current.stream.end();
        // Whether its first characters were shown depends on the cuts.
        const masked = everything(current.spool).replaceAll(/t\*{8}|to\*{7}|top\*{6}/g, '*********');
        expect(masked).toBe(expected);
        current.stream.dispose();
        current.spool.close();
      }),
      { numRuns: 60 },
    );
  });

  test('after a restart the screen is what it was, and old queries are not answered again', async () => {
    const first = start();
    first.stream.accept(Buffer.from('hello\x1b[c'), 0);
    first.stream.resize(50, 12);
    first.stream.accept(Buffer.from('\r\nworld'), 8);
    await first.stream.snapshot();
    expect(first.answers.length).toBe(1);
    first.stream.dispose();
    first.spool.close();
    const second = start();
    expect(second.stream.size).toEqual({ sizeRev: 1, cols: 50, rows: 12 });
    expect(await second.stream.snapshot()).toMatchObject({ snapshot: { offset: 15, cols: 50, rows: 12 } });
    expect(second.stream.screenText()).toBe('hello\nworld');
    expect(second.answers).toEqual([]);
    second.stream.accept(Buffer.from('\x1b[c'), second.stream.resumeRawOffset);
    await second.stream.snapshot();
    expect(second.answers.length).toBe(1);
  });
});

describe('spool', () => {
  test('goes on from the disk, and declares what it drops', () => {
    const dropped: [number, number][] = [];
    const open = () =>
      openSpool({
        folder,
        epoch: 1,
        segmentBytes: 100,
        maxBytes: 250,
        onDropped: (from, to) => dropped.push([from, to]),
      });
    let spool = open();
    for (let index = 0; index < 4; index += 1) spool.append(Buffer.alloc(50, String(index)));
    spool.check({ offset: 200, rawOffset: 300 });
    spool.append(Buffer.from('after the checkpoint'));
    spool.close();
    spool = open();
    expect([spool.baseOffset, spool.headOffset, spool.checkpoint]).toEqual([0, 200, { offset: 200, rawOffset: 300 }]);
    for (let index = 4; index < 8; index += 1) spool.append(Buffer.alloc(50, String(index)));
    expect(dropped).toEqual([[0, 100]]);
    expect(spool.read(0, 10)).toEqual({ kind: 'dropped', baseOffset: 100 });
    expect(spool.read(149, 10)).toEqual({ kind: 'bytes', bytes: Buffer.from('2333333333') });
    expect(spool.read(400, 10)).toEqual({ kind: 'bytes', bytes: Buffer.alloc(0) });
    expect(readdirSync(folder).filter((name) => name.endsWith('.seg')).length).toBe(3);
    spool.close();
  });
});
