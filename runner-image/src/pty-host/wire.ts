/** The framing between runner and pty-host: length-prefixed binary, because terminal bytes must not pay for JSON. */
import { PTY_FRAME_MAX_BYTES } from '../../../shared/limits.ts';

/** First byte of a frame's body. `control` carries JSON; the others a handle, a number and raw bytes. */
export const FRAME = { control: 1, write: 2, output: 3, ack: 4 } as const;
type FrameKind = (typeof FRAME)[keyof typeof FRAME];

export type WireFrame =
  | { readonly kind: 'control'; readonly json: unknown }
  | {
      readonly kind: 'write' | 'output' | 'ack';
      readonly handle: number;
      readonly value: number;
      readonly bytes: Buffer;
    };

const LENGTH_BYTES = 4;
/** kind (1), handle (4), value (8). */
const BINARY_HEAD_BYTES = 13;

/** The frame of a request, reply or exit. */
export const encodeControl = (message: object): Buffer => {
  const json = Buffer.from(JSON.stringify(message));
  const head = Buffer.allocUnsafe(LENGTH_BYTES + 1);
  head.writeUInt32BE(json.length + 1, 0);
  head.writeUInt8(FRAME.control, LENGTH_BYTES);
  return Buffer.concat([head, json]);
};

/** The head of a binary frame; its `sizeBytes` bytes follow as they are, uncopied. `value` is an offset or a request number. */
export const encodeBinaryHead = (kind: FrameKind, handle: number, value: number, sizeBytes: number): Buffer => {
  const head = Buffer.allocUnsafe(LENGTH_BYTES + BINARY_HEAD_BYTES);
  head.writeUInt32BE(BINARY_HEAD_BYTES + sizeBytes, 0);
  head.writeUInt8(kind, LENGTH_BYTES);
  head.writeUInt32BE(handle, LENGTH_BYTES + 1);
  head.writeDoubleBE(value, LENGTH_BYTES + 5);
  return head;
};

const decodeBody = (body: Buffer): WireFrame => {
  const kind = body.readUInt8(0);
  if (kind === FRAME.control) return { kind: 'control', json: JSON.parse(body.toString('utf8', 1)) };
  const name =
    kind === FRAME.write ? 'write' : kind === FRAME.output ? 'output' : kind === FRAME.ack ? 'ack' : undefined;
  if (name === undefined || body.length < BINARY_HEAD_BYTES)
    throw new Error(`pty socket: frame of unknown kind ${kind}`);
  const value = body.readDoubleBE(5);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error('pty socket: number out of range');
  return { kind: name, handle: body.readUInt32BE(1), value, bytes: body.subarray(BINARY_HEAD_BYTES) };
};

/**
 * Takes the socket's chunks and calls `onFrame` per whole frame. Throws on a frame that is too large, of unknown kind
 * or not JSON: the caller closes the connection, since nothing after it can be trusted.
 */
export const frameReader = (onFrame: (frame: WireFrame) => void): ((chunk: Buffer) => void) => {
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  let neededBytes = LENGTH_BYTES;
  return (chunk) => {
    waiting.push(chunk);
    waitingBytes += chunk.length;
    if (waitingBytes < neededBytes) return;
    const data = waiting.length === 1 ? chunk : Buffer.concat(waiting);
    let at = 0;
    neededBytes = LENGTH_BYTES;
    while (data.length - at >= LENGTH_BYTES) {
      const bodyBytes = data.readUInt32BE(at);
      if (bodyBytes < 1 || bodyBytes > PTY_FRAME_MAX_BYTES) throw new Error(`pty socket: frame of ${bodyBytes} bytes`);
      if (data.length - at < LENGTH_BYTES + bodyBytes) {
        neededBytes = LENGTH_BYTES + bodyBytes;
        break;
      }
      onFrame(decodeBody(data.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + bodyBytes)));
      at += LENGTH_BYTES + bodyBytes;
    }
    waiting = at < data.length ? [data.subarray(at)] : [];
    waitingBytes = data.length - at;
  };
};
