/** ListObjectsV2: reads the query, pages through the keys, writes the XML. */
import type { ListPage } from './key-order.ts';
import type { ObjectStore } from './object-store.ts';
import { S3Error, xmlText } from './s3-error.ts';
import { LIST_MAX_KEYS } from './s3-limits.ts';
import type { VerifiedRequest } from './s3-request.ts';
import { awsEscape } from './sigv4.ts';

const toToken = (after: string): string => Buffer.from(after).toString('base64url');

function fromToken(token: string): string {
  const after = Buffer.from(token, 'base64url').toString();
  if (after === '' || toToken(after) !== token)
    throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect');
  return after;
}

function maxKeysOf(text: string | undefined): number {
  if (text === undefined) return LIST_MAX_KEYS;
  if (!/^\d{1,9}$/.test(text))
    throw new S3Error('InvalidArgument', 'Provided max-keys not an integer or within integer range');
  return Math.min(Number(text), LIST_MAX_KEYS);
}

function entries(store: ObjectStore, bucket: string, page: ListPage, name: (key: string) => string): string {
  const contents = page.keys.map((key) => {
    const object = store.get(bucket, key);
    if (!object) throw new Error(`key listed without an object: ${bucket}/${key}`);
    const modified = new Date(object.lastModifiedMs).toISOString();
    return `<Contents><Key>${name(key)}</Key><LastModified>${modified}</LastModified><ETag>&quot;${object.etag}&quot;</ETag><Size>${object.sizeBytes}</Size><StorageClass>STANDARD</StorageClass></Contents>`;
  });
  const prefixes = page.commonPrefixes.map(
    (prefix) => `<CommonPrefixes><Prefix>${name(prefix)}</Prefix></CommonPrefixes>`,
  );
  return [...contents, ...prefixes].join('');
}

/** The ListBucketResult document for the request's prefix, delimiter, start-after, continuation-token, max-keys and encoding-type. */
export function listObjects(store: ObjectStore, request: VerifiedRequest): string {
  const { params, bucket } = request;
  if (params.get('list-type') !== '2')
    throw new S3Error('NotImplemented', 'Only ListObjectsV2 (list-type=2) is answered here.');
  const token = params.get('continuation-token');
  const query = {
    prefix: params.get('prefix') ?? '',
    delimiter: params.get('delimiter') ?? '',
    after: token === undefined ? (params.get('start-after') ?? '') : fromToken(token),
    maxKeys: maxKeysOf(params.get('max-keys')),
  };
  const page = store.list(bucket, query);
  const encoded = params.get('encoding-type') === 'url';
  const name = (key: string): string => (encoded ? awsEscape(key).replaceAll('%2F', '/') : xmlText(key));
  const fields = [
    `<Name>${xmlText(bucket)}</Name><Prefix>${name(query.prefix)}</Prefix>`,
    query.delimiter === '' ? '' : `<Delimiter>${name(query.delimiter)}</Delimiter>`,
    encoded ? '<EncodingType>url</EncodingType>' : '',
    token === undefined ? '' : `<ContinuationToken>${xmlText(token)}</ContinuationToken>`,
    `<KeyCount>${page.keys.length + page.commonPrefixes.length}</KeyCount><MaxKeys>${query.maxKeys}</MaxKeys>`,
    `<IsTruncated>${page.nextAfter !== undefined}</IsTruncated>`,
    page.nextAfter === undefined ? '' : `<NextContinuationToken>${toToken(page.nextAfter)}</NextContinuationToken>`,
  ];
  return `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${fields.join('')}${entries(store, bucket, page, name)}</ListBucketResult>`;
}
