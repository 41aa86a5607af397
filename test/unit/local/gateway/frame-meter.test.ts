import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameMeter } from '../../../../local/gateway/frame-meter.ts';

/** A masked client frame (RFC 6455 §5.2). */
function frame(payloadBytes: number, opcode = 1): Buffer {
  const head = Buffer.alloc(payloadBytes < 126 ? 2 : payloadBytes < 65_536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  if (payloadBytes < 126) head[1] = 0x80 | payloadBytes;
  else if (payloadBytes < 65_536) {
    head[1] = 0x80 | 126;
    head.writeUInt16BE(payloadBytes, 2);
  } else {
    head[1] = 0x80 | 127;
    head.writeBigUInt64BE(BigInt(payloadBytes), 2);
  }
  // Payload bytes that look like headers of huge frames must not be read as such.
  return Buffer.concat([head, Buffer.from([1, 2, 3, 4]), Buffer.alloc(payloadBytes, 0xff)]);
}

const exceedsInPieces = (meter: FrameMeter, bytes: Buffer, cuts: readonly number[]): boolean => {
  const places = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  return places.slice(1).some((to, index) => meter.exceeds(bytes.subarray(places[index], to)));
};

describe('FrameMeter', () => {
  it.each([0, 1, 125, 126, 1_000, 65_535, 65_536, 100_000])('knows a payload of %i bytes', (payloadBytes) => {
    expect(new FrameMeter(payloadBytes).exceeds(frame(payloadBytes))).toBe(false);
    if (payloadBytes > 0) expect(new FrameMeter(payloadBytes - 1).exceeds(frame(payloadBytes))).toBe(true);
  });

  it('finds exactly the streams with a frame above the cap, however they are cut', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(sizes, fc.array(fc.nat(4_000), { maxLength: 20 }), (payloads, cuts) => {
        const bytes = Buffer.concat(payloads.map((size) => frame(size)));
        expect(exceedsInPieces(new FrameMeter(200), bytes, cuts)).toBe(payloads.some((size) => size > 200));
      }),
    );
  });

  it('decides by the announced length alone', () => {
    const head = frame(70_000).subarray(0, 10);
    expect(exceedsInPieces(new FrameMeter(32_768), head, [1, 2, 3, 4, 5, 6, 7, 8, 9])).toBe(true);
  });
});
