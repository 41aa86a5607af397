/** AWS Signature Version 4 for the one call that is made for every keystroke and every frame: a POST of known bytes to a fixed endpoint. */
import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto';

export interface SigningCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export interface SigningInput {
  readonly credentials: SigningCredentials;
  readonly region: string;
  /** Name of the service in the credential scope, such as `execute-api`. */
  readonly service: string;
  /** With the port where it is not the scheme's own, as the Host header says it. */
  readonly host: string;
  /** As sent, percent-encoded once; without a query. */
  readonly path: string;
  readonly body: Buffer;
  readonly nowMs: number;
}

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/** Derived keys hold for a day of one secret; a process signs with very few. Kept as key objects: one made anew costs ten signatures. */
const DERIVED_MAX = 16;
const derived = new Map<string, KeyObject>();
const signingKey = (secret: string, scope: string): KeyObject => {
  const name = `${secret} ${scope}`;
  const known = derived.get(name);
  if (known !== undefined) return known;
  if (derived.size >= DERIVED_MAX) derived.clear();
  const key = scope.split('/').reduce<string | Buffer>((last, part) => hmac(last, part), `AWS4${secret}`);
  const made = createSecretKey(Buffer.from(key));
  derived.set(name, made);
  return made;
};

/** Every segment is encoded once more than it is sent, as all services but S3 want it. */
const canonicalPath = (path: string): string =>
  path
    .split('/')
    .map((segment) =>
      encodeURIComponent(segment).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`),
    )
    .join('/');

/**
 * Headers that sign a POST (the Signature Version 4 documentation of AWS, header form): host, content-length and authorization
 * included. The test compares them with what the SDK signs.
 */
export const signPost = (input: SigningInput): Record<string, string> => {
  const { credentials, region, service, host, path, body, nowMs } = input;
  const date = new Date(nowMs).toISOString().replace(/[-:]|\.\d{3}/g, '');
  const scope = `${date.slice(0, 8)}/${region}/${service}/aws4_request`;
  const bodyHash = hash('sha256', body);
  const { sessionToken } = credentials;
  const signed: Record<string, string> = {
    'content-length': String(body.length),
    'content-type': 'application/octet-stream',
    host,
    'x-amz-content-sha256': bodyHash,
    'x-amz-date': date,
    ...(sessionToken === undefined ? {} : { 'x-amz-security-token': sessionToken }),
  };
  /** Written in alphabetical order above, which is the canonical one. */
  const names = Object.keys(signed).join(';');
  const lines = Object.entries(signed).map(([name, value]) => `${name}:${value}\n`);
  const canonical = `POST\n${canonicalPath(path)}\n\n${lines.join('')}\n${names}\n${bodyHash}`;
  const key = signingKey(credentials.secretAccessKey, scope);
  const signature = createHmac('sha256', key)
    .update(`AWS4-HMAC-SHA256\n${date}\n${scope}\n${hash('sha256', canonical)}`)
    .digest('hex');
  const credential = `${credentials.accessKeyId}/${scope}`;
  return {
    ...signed,
    authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names}, Signature=${signature}`,
  };
};
