/** What an archive object holds, and the proof that it holds it: rows as JSON lines, compressed, found again by their digest. */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { z } from 'zod';
import { ARCHIVE_UNPACKED_MAX_BYTES } from '../../shared/limits.ts';
import type { Item } from '../database.ts';
import type { ObjectStore } from '../sessions/ports.ts';
import type { ArchivedPart } from './archive-rows.ts';

const zip = promisify(gzip);
const unzip = promisify(gunzip);

/** A row without what belongs to the table alone. */
const Row = z.looseObject({ sk: z.string(), digest: z.string(), events: z.string() });
export type ArchivedRow = z.infer<typeof Row>;

const toRow = ({ pk: _pk, expiresAtSec: _ttl, ...row }: Item): ArchivedRow => Row.parse(row);

export const packRows = async (items: readonly Item[]): Promise<Uint8Array> =>
  zip(items.map((item) => `${JSON.stringify(toRow(item))}\n`).join(''));

const sha256Of = (body: Uint8Array) => createHash('sha256').update(body);

/** Stores once and reads back. `null`: what came back is not what was sent; the object counts as never written. */
export const storeVerified = async (
  objects: ObjectStore,
  key: string,
  body: Uint8Array,
): Promise<Pick<ArchivedPart, 'key' | 'sha256' | 'sizeBytes'> | null> => {
  const sha256 = sha256Of(body).digest('hex');
  await objects.putOnce({ key, body, sha256Base64: sha256Of(body).digest('base64') });
  const back = await objects.getBytes(key, body.length);
  if (back === null || sha256Of(back).digest('hex') !== sha256) return null;
  return { key, sha256, sizeBytes: body.length };
};

/** `missing`: there is no such object (any more); `damaged`: it is not what was stored. */
export type ReadPart =
  | { readonly kind: 'rows'; readonly rows: readonly ArchivedRow[] }
  | { readonly kind: 'missing' | 'damaged' };

export const readPart = async (objects: ObjectStore, part: ArchivedPart): Promise<ReadPart> => {
  const body = await objects.getBytes(part.key, part.sizeBytes);
  if (body === null) return { kind: 'missing' };
  if (sha256Of(body).digest('hex') !== part.sha256) return { kind: 'damaged' };
  const text = (await unzip(body, { maxOutputLength: ARCHIVE_UNPACKED_MAX_BYTES })).toString('utf8');
  const rows = text.split('\n').flatMap((line) => (line === '' ? [] : [Row.parse(JSON.parse(line))]));
  return { kind: 'rows', rows };
};
