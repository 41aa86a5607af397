/**
 * The few parts of the tar format (POSIX ustar, pax for long names) that a checkpoint uses. Our own, because a restore must
 * take files and links and nothing else, and says so here in one place.
 */
import { type BytePath, fromBytes, toBytes } from './byte-path.ts';

export const BLOCK_BYTES = 512;

export interface TarHeader {
  readonly path: BytePath;
  readonly kind: 'file' | 'link' | 'pax';
  /** Permission bits. */
  readonly mode: number;
  readonly sizeBytes: number;
  /** Of a link, otherwise ''. */
  readonly target: BytePath;
}

/** The bytes are no archive of ours. */
export class TarDamaged extends Error {}

const NAME_BYTES = 100;
const TYPES = { file: '0', link: '2', pax: 'x' } as const;
const KINDS: ReadonlyMap<string, TarHeader['kind']> = new Map([
  ['0', 'file'],
  ['2', 'link'],
  ['x', 'pax'],
]);
/** Octal digits of the size field. */
const SIZE_MAX_BYTES = 0o77777777777;

const sumOf = (block: Buffer): number => {
  let sum = 0;
  for (let at = 0; at < BLOCK_BYTES; at += 1) sum += at >= 148 && at < 156 ? 0x20 : (block[at] ?? 0);
  return sum;
};

const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0');

/** One header block. Path and target must fit; `entryHeaders` sees to that. */
const headerBlock = (header: TarHeader): Buffer => {
  if (header.sizeBytes > SIZE_MAX_BYTES) throw new TarDamaged('a file is too large for an archive');
  const block = Buffer.alloc(BLOCK_BYTES);
  toBytes(header.path).copy(block, 0, 0, NAME_BYTES);
  block.write(`${octal(header.mode & 0o777, 7)}\0`, 100, 'latin1');
  block.write(`${octal(0, 7)}\0${octal(0, 7)}\0`, 108, 'latin1');
  block.write(`${octal(header.sizeBytes, 11)}\0${octal(0, 11)}\0`, 124, 'latin1');
  block.write(TYPES[header.kind], 156, 'latin1');
  toBytes(header.target).copy(block, 157, 0, NAME_BYTES);
  block.write('ustar\x0000', 257, 'latin1');
  block.write(`${octal(sumOf(block), 6)}\0 `, 148, 'latin1');
  return block;
};

/** Zeros after a body, up to the next block. */
export const paddingOf = (sizeBytes: number): Buffer =>
  Buffer.alloc((BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES);

/** `length key=value\n`, where the length counts itself. */
const paxRecord = (key: string, value: BytePath): Buffer => {
  const body = Buffer.concat([Buffer.from(` ${key}=`), toBytes(value), Buffer.from('\n')]);
  let length = body.length + 1;
  while (String(length).length + body.length !== length) length = String(length).length + body.length;
  return Buffer.concat([Buffer.from(String(length)), body]);
};

/** Everything that stands before the body of an entry. */
export const entryHeaders = (header: TarHeader): Buffer => {
  const records: Buffer[] = [];
  if (header.path.length > NAME_BYTES) records.push(paxRecord('path', header.path));
  if (header.target.length > NAME_BYTES) records.push(paxRecord('linkpath', header.target));
  const own = headerBlock(header);
  if (records.length === 0) return own;
  const body = Buffer.concat(records);
  const pax = headerBlock({ path: 'pax', kind: 'pax', mode: 0, sizeBytes: body.length, target: '' });
  return Buffer.concat([pax, body, paddingOf(body.length), own]);
};

const textAt = (block: Buffer, from: number, maxBytes: number): BytePath => {
  const field = block.subarray(from, from + maxBytes);
  const end = field.indexOf(0);
  return fromBytes(end === -1 ? field : field.subarray(0, end));
};

const numberAt = (block: Buffer, from: number, maxBytes: number): number => {
  const digits = textAt(block, from, maxBytes).trim();
  if (!/^[0-7]{1,11}$/.test(digits)) throw new TarDamaged('a number in a header cannot be read');
  return Number.parseInt(digits, 8);
};

/** `null` for a block of zeros, which ends the archive. */
export const parseHeader = (block: Buffer): TarHeader | null => {
  if (block.every((byte) => byte === 0)) return null;
  if (numberAt(block, 148, 8) !== sumOf(block)) throw new TarDamaged('the checksum of a header is wrong');
  const type = textAt(block, 156, 1);
  const kind = KINDS.get(type);
  if (kind === undefined) throw new TarDamaged(`an entry of type "${type}" does not belong into a checkpoint`);
  const header: TarHeader = {
    path: textAt(block, 0, NAME_BYTES),
    kind,
    mode: numberAt(block, 100, 8) & 0o777,
    sizeBytes: numberAt(block, 124, 12),
    target: kind === 'link' ? textAt(block, 157, NAME_BYTES) : '',
  };
  if (kind === 'link' && header.sizeBytes !== 0) throw new TarDamaged('a link has a body');
  return header;
};

/** The long names of the entry that follows. */
export const parsePax = (body: Buffer): { path?: BytePath; linkpath?: BytePath } => {
  const found: { path?: BytePath; linkpath?: BytePath } = {};
  let at = 0;
  while (at < body.length) {
    const match = /^(\d{1,7}) (path|linkpath)=/.exec(fromBytes(body.subarray(at, at + 20)));
    const length = Number(match?.[1] ?? 0);
    const key = match?.[2];
    const end = at + length;
    const from = at + (match?.[0].length ?? 0);
    if (!match || end > body.length || end <= from || body[end - 1] !== 0x0a)
      throw new TarDamaged('the long name of an entry cannot be read');
    found[key === 'path' ? 'path' : 'linkpath'] = fromBytes(body.subarray(from, end - 1));
    at = end;
  }
  return found;
};
