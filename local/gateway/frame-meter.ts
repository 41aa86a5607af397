/** Measures WebSocket frames on the wire: ws only reports whole messages, and API Gateway cuts single frames. */

const LENGTH_16 = 126;
const LENGTH_64 = 127;
const MASKED = 0x80;

/** Reads the headers of client frames (RFC 6455 §5.2) from the byte stream, however it is cut into chunks. */
export class FrameMeter {
  readonly #maxBytes: number;
  /** Header bytes seen so far; at most 10 count, the mask is skipped with the payload. */
  readonly #header = Buffer.alloc(10);
  #headerBytes = 0;
  #skipBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** True once a frame announces a payload above the cap; what follows it need not be pushed. */
  exceeds(chunk: Buffer): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.#skipBytes > 0) {
        const skipped = Math.min(this.#skipBytes, chunk.length - at);
        this.#skipBytes -= skipped;
        at += skipped;
        continue;
      }
      this.#header[this.#headerBytes] = chunk[at] ?? 0;
      this.#headerBytes += 1;
      at += 1;
      if (this.#headerBytes < this.#headerLength()) continue;
      const payloadBytes = this.#payloadLength();
      if (payloadBytes > this.#maxBytes) return true;
      this.#skipBytes = payloadBytes + (((this.#header[1] ?? 0) & MASKED) === 0 ? 0 : 4);
      this.#headerBytes = 0;
    }
    return false;
  }

  #shortLength(): number {
    return (this.#header[1] ?? 0) & 0x7f;
  }

  #headerLength(): number {
    if (this.#headerBytes < 2) return 2;
    if (this.#shortLength() === LENGTH_16) return 4;
    return this.#shortLength() === LENGTH_64 ? 10 : 2;
  }

  #payloadLength(): number {
    if (this.#shortLength() === LENGTH_16) return this.#header.readUInt16BE(2);
    if (this.#shortLength() === LENGTH_64) return Number(this.#header.readBigUInt64BE(2));
    return this.#shortLength();
  }
}
