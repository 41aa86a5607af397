import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { outputBuffer } from '../../../../runner-image/src/pty-host/output-buffer.ts';
import { decideRestart } from '../../../../runner-image/src/pty-host/restart-policy.ts';
import {
  encodeBinaryHead,
  encodeControl,
  FRAME,
  frameReader,
  type WireFrame,
} from '../../../../runner-image/src/pty-host/wire.ts';
import { RUNNER_CRASHES_SETTLED_MAX } from '../../../../shared/limits.ts';

describe('output buffer', () => {
  test('any appends, acks and reads agree with one long buffer', () => {
    const step = fc.record({
      grow: fc.nat(20),
      ack: fc.double({ min: 0, max: 1, noNaN: true }),
      from: fc.double({ min: 0, max: 1, noNaN: true }),
      max: fc.integer({ min: 1, max: 30 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const buffer = outputBuffer();
        let whole = Buffer.alloc(0);
        let start = 0;
        for (const { grow, ack, from, max } of steps) {
          const bytes = Buffer.from(Array.from({ length: grow }, (_, index) => (whole.length + index) % 251));
          buffer.append(bytes);
          whole = Buffer.concat([whole, bytes]);
          start += Math.floor(ack * (whole.length - start));
          buffer.ack(start);
          const at = start + Math.floor(from * (whole.length - start));
          expect(Buffer.concat(buffer.from(at, max))).toEqual(whole.subarray(at, at + max));
          expect([buffer.startOffset, buffer.endOffset, buffer.sizeBytes]).toEqual([
            start,
            whole.length,
            whole.length - start,
          ]);
        }
      }),
      { numRuns: 300 },
    );
  });
  test('what lies outside is refused', () => {
    const buffer = outputBuffer();
    buffer.append(Buffer.from('abcdef'));
    buffer.ack(3);
    expect(() => buffer.ack(7)).toThrow(/beyond/);
    expect(() => buffer.from(2, 1)).toThrow(/outside/);
    buffer.ack(1);
    expect(Buffer.concat(buffer.from(3, 99)).toString()).toBe('def');
  });
});

describe('wire', () => {
  test('frames survive any cuts', () => {
    const bytes = Buffer.concat([
      encodeControl({ op: 'list', req: 1 }),
      encodeBinaryHead(FRAME.output, 7, 2 ** 40, 3),
      Buffer.from('abc'),
      encodeBinaryHead(FRAME.ack, 7, 5, 0),
    ]);
    for (let size = 1; size <= bytes.length; size += 1) {
      const frames: WireFrame[] = [];
      const read = frameReader((frame) => frames.push(frame));
      for (let at = 0; at < bytes.length; at += size) read(bytes.subarray(at, at + size));
      expect(frames).toEqual([
        { kind: 'control', json: { op: 'list', req: 1 } },
        { kind: 'output', handle: 7, value: 2 ** 40, bytes: Buffer.from('abc') },
        { kind: 'ack', handle: 7, value: 5, bytes: Buffer.alloc(0) },
      ]);
    }
  });
  test('a frame that is too large or of unknown kind throws', () => {
    const read = frameReader(() => {});
    expect(() => read(Buffer.from([0xff, 0xff, 0xff, 0xff]))).toThrow(/frame of/);
    expect(() => frameReader(() => {})(Buffer.from([0, 0, 0, 1, 9]))).toThrow(/unknown kind/);
  });
});

describe('restart of a crashed runner', () => {
  test.each([
    [[0], 0, { action: 'restart', delayMs: 100 }],
    [[0, 10], 10, { action: 'restart', delayMs: 200 }],
    [[0, 10, 20, 30], 30, { action: 'restart', delayMs: 800 }],
    [[0, 10, 20, 30, 40], 40, { action: 'give_up' }],
    [[0, 10, 20, 30, 60_015], 60_015, { action: 'restart', delayMs: 400 }],
  ] as const)('crashes at %j', (crashesMs, nowMs, expected) => {
    expect(decideRestart(crashesMs, nowMs)).toEqual(expected);
  });

  test('one that had taken up its sessions each time is started again, but not for ever', () => {
    const crashesMs = Array.from({ length: RUNNER_CRASHES_SETTLED_MAX }, (_, index) => index * 1_000);
    for (const [index, atMs] of crashesMs.entries()) {
      const isLast = index === crashesMs.length - 1;
      expect(decideRestart(crashesMs.slice(0, index + 1), atMs, atMs - 1)).toEqual(
        isLast ? { action: 'give_up' } : { action: 'restart', delayMs: 100 },
      );
    }
    // Since it settled last, it crashes at its start.
    expect(decideRestart([0, 10, 20, 30, 40, 50], 50, 5)).toEqual({ action: 'give_up' });
  });
});
