/** S3 behind the ObjectStore port. */
import {
  DeleteObjectCommand,
  GetObjectCommand,
  NoSuchKey,
  PutObjectCommand,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { ObjectStore } from '../sessions/ports.ts';

const PRECONDITION_FAILED = 412;
const RANGE_NOT_SATISFIABLE = 416;
const hasStatus = (error: unknown, status: number): boolean =>
  error instanceof S3ServiceException && error.$metadata.httpStatusCode === status;

export const s3ObjectStore = ({ client, bucket }: { client: S3Client; bucket: string }): ObjectStore => ({
  putJson: async (key, value) => {
    await client.send(
      new PutObjectCommand({ Bucket: bucket, Key: key, Body: JSON.stringify(value), ContentType: 'application/json' }),
    );
  },
  getJson: async (key) => {
    try {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
      return Body === undefined ? null : (JSON.parse(await Body.transformToString('utf8')) as unknown);
    } catch (error) {
      if (error instanceof NoSuchKey) return null;
      throw error;
    }
  },
  putOnce: async ({ key, body, sha256Base64, contentType = 'application/gzip' }) => {
    try {
      await client.send(
        new PutObjectCommand({
          Bucket: bucket,
          Key: key,
          Body: body,
          ContentType: contentType,
          ChecksumSHA256: sha256Base64,
          IfNoneMatch: '*',
        }),
      );
      return 'stored';
    } catch (error) {
      if (hasStatus(error, PRECONDITION_FAILED)) return 'taken';
      throw error;
    }
  },
  getBytes: async (key, maxBytes) => {
    try {
      const { Body } = await client.send(
        new GetObjectCommand({ Bucket: bucket, Key: key, Range: `bytes=0-${maxBytes}` }),
      );
      return Body === undefined ? null : await Body.transformToByteArray();
    } catch (error) {
      if (error instanceof NoSuchKey) return null;
      /** An empty object has no first byte. */
      if (hasStatus(error, RANGE_NOT_SATISFIABLE)) return new Uint8Array();
      throw error;
    }
  },
  delete: async (key) => {
    await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
  },
  presignGet: (key, ttlMs) =>
    getSignedUrl(client, new GetObjectCommand({ Bucket: bucket, Key: key }), { expiresIn: Math.ceil(ttlMs / 1_000) }),
  presignPut: async ({ key, sizeBytes, sha256Base64, ttlMs }) => {
    const command = new PutObjectCommand({
      Bucket: bucket,
      Key: key,
      ContentLength: sizeBytes,
      ChecksumSHA256: sha256Base64,
      IfNoneMatch: '*',
    });
    const headers = {
      'content-length': String(sizeBytes),
      'x-amz-checksum-sha256': sha256Base64,
      'if-none-match': '*',
    };
    const names = new Set(Object.keys(headers));
    /** Signed as headers, not hoisted into the query: a PUT of another length or content is refused. */
    const url = await getSignedUrl(client, command, {
      expiresIn: Math.ceil(ttlMs / 1_000),
      signableHeaders: names,
      unhoistableHeaders: names,
    });
    return { url, headers };
  },
});
