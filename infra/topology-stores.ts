/** Where things are kept: tables, buckets, secrets. */

type AttributeType = 'S' | 'N';
export interface KeySpec {
  readonly name: string;
  readonly type: AttributeType;
}
export interface IndexSpec {
  readonly name: string;
  readonly partitionKey: KeySpec;
  readonly sortKey?: KeySpec;
  readonly projection: 'ALL' | 'KEYS_ONLY' | readonly string[];
}
export interface TableSpec {
  readonly name: TableName;
  readonly partitionKey: KeySpec;
  readonly sortKey?: KeySpec;
  readonly ttlAttribute?: string;
  readonly stream?: 'NEW_IMAGE' | 'NEW_AND_OLD_IMAGES';
  readonly indexes: readonly IndexSpec[];
  /** Point-in-time recovery and deletion protection: where loss could not be made good from elsewhere. */
  readonly durable: boolean;
}

const text = (name: string): KeySpec => ({ name, type: 'S' });
const number = (name: string): KeySpec => ({ name, type: 'N' });

export type TableName = 'tenants' | 'sessions' | 'events' | 'connections' | 'usage' | 'releases' | 'runners';
const table = (name: TableName, spec: Partial<TableSpec> = {}): TableSpec => ({
  name,
  partitionKey: text('pk'),
  sortKey: text('sk'),
  indexes: [],
  durable: true,
  ...spec,
});

export const TABLES: readonly TableSpec[] = [
  table('tenants', { ttlAttribute: 'expiresAtSec' }),
  table('sessions', {
    stream: 'NEW_AND_OLD_IMAGES',
    indexes: [
      { name: 'by-tenant', partitionKey: text('tenantKey'), sortKey: text('createdKey'), projection: 'ALL' },
      { name: 'live', partitionKey: text('liveShard'), sortKey: number('nextCheckAtMs'), projection: 'KEYS_ONLY' },
      { name: 'archive', partitionKey: text('archiveShard'), sortKey: number('archiveAtMs'), projection: 'KEYS_ONLY' },
    ],
  }),
  table('events', { stream: 'NEW_IMAGE', ttlAttribute: 'expiresAtSec' }),
  table('connections', { ttlAttribute: 'expiresAtSec', durable: false }),
  table('usage', {
    stream: 'NEW_IMAGE',
    indexes: [{ name: 'by-day', partitionKey: text('dayKey'), sortKey: text('sk'), projection: 'ALL' }],
  }),
  table('releases', {}),
  /** Its stream is read for rows that go: places given back, claims, revocations. */
  table('runners', { ttlAttribute: 'expiresAtSec', durable: false, stream: 'NEW_IMAGE' }),
];

export type BucketName = 'transcripts' | 'page';
export interface BucketSpec {
  readonly name: BucketName;
  readonly versioned: boolean;
  readonly durable: boolean;
  readonly expireDays?: number;
}
export const BUCKETS: readonly BucketSpec[] = [
  { name: 'transcripts', versioned: false, durable: true, expireDays: 400 },
  { name: 'page', versioned: false, durable: false },
];

export type SecretName = 'signing-key' | 'origin-secret' | 'model-keys';
export const SECRETS: readonly { readonly name: SecretName; readonly generated: boolean }[] = [
  { name: 'signing-key', generated: true },
  { name: 'origin-secret', generated: true },
  /** JSON {"anthropic": "<key>"}; filled by the operator, empty by default. */
  { name: 'model-keys', generated: false },
];
