import { describe, expect, it } from 'vitest';
import { pascal } from '../../../infra/constructs/logical-id.ts';
import { BUCKETS, SECRETS, TABLES } from '../../../infra/topology.ts';
import { type Resource, template, withoutHash } from './cell.ts';

const cell = template();
const find = (type: string, id: string): Resource => {
  const [, resource] = cell.of(type).find(([logicalId]) => withoutHash(logicalId) === id) ?? [];
  if (resource === undefined) throw new Error(`no ${type} ${id}`);
  return resource;
};

describe('tables', () => {
  it.each(TABLES.map((spec) => [spec.name, spec] as const))('%s', (name, spec) => {
    const { Properties, DeletionPolicy, UpdateReplacePolicy } = find('AWS::DynamoDB::Table', `Tables${pascal(name)}`);
    const keysOf = ({ partitionKey, sortKey }: Pick<typeof spec, 'partitionKey' | 'sortKey'>) => [
      { AttributeName: partitionKey.name, KeyType: 'HASH' },
      ...(sortKey === undefined ? [] : [{ AttributeName: sortKey.name, KeyType: 'RANGE' }]),
    ];
    expect(Properties).toMatchObject({
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: keysOf(spec),
      DeletionProtectionEnabled: spec.durable,
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: spec.durable },
    });
    expect(Properties.TimeToLiveSpecification).toEqual(
      spec.ttlAttribute === undefined ? undefined : { AttributeName: spec.ttlAttribute, Enabled: true },
    );
    expect(Properties.StreamSpecification).toEqual(
      spec.stream === undefined ? undefined : { StreamViewType: spec.stream },
    );
    expect(Properties.GlobalSecondaryIndexes ?? []).toMatchObject(
      spec.indexes.map((index) => ({ IndexName: index.name, KeySchema: keysOf(index) })),
    );
    expect([DeletionPolicy, UpdateReplacePolicy]).toEqual(spec.durable ? ['Retain', 'Retain'] : ['Delete', 'Delete']);
  });

  it('loses none of those that finance, releases and sessions stand on', () => {
    const durable = TABLES.filter((spec) => spec.durable).map(({ name }) => name);
    expect(durable).toEqual(expect.arrayContaining(['sessions', 'events', 'usage', 'tenants', 'releases']));
  });
});

describe('buckets', () => {
  it.each([...BUCKETS.map(({ name }) => `Buckets${pascal(name)}`), 'AccessLogsBucket'])('%s is closed', (id) => {
    const { Properties } = find('AWS::S3::Bucket', id);
    expect(Properties).toMatchObject({
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
      },
    });
    const policy = cell.of('AWS::S3::BucketPolicy').find(([policyId]) => withoutHash(policyId) === `${id}Policy`);
    expect(JSON.stringify(policy?.[1].Properties.PolicyDocument)).toContain(
      '"Condition":{"Bool":{"aws:SecureTransport":"false"}},"Effect":"Deny"',
    );
  });

  it('keeps transcripts 400 days and lets only the page read them across origins', () => {
    const { Properties, DeletionPolicy } = find('AWS::S3::Bucket', 'BucketsTranscripts');
    expect(DeletionPolicy).toBe('Retain');
    expect(Properties.LifecycleConfiguration).toMatchObject({ Rules: [{ ExpirationInDays: 400, Status: 'Enabled' }] });
    expect(Properties.CorsConfiguration).toMatchObject({
      CorsRules: [{ AllowedMethods: ['GET', 'HEAD'], AllowedOrigins: [{ 'Fn::Join': ['', ['https://', {}]] }] }],
    });
    expect(find('AWS::S3::Bucket', 'BucketsPage').Properties.CorsConfiguration).toBeUndefined();
  });
});

describe('secrets', () => {
  it.each(SECRETS.map((spec) => [spec.name, spec] as const))('%s', (name, { generated }) => {
    const { Properties, DeletionPolicy } = find('AWS::SecretsManager::Secret', `Secrets${pascal(name)}`);
    if (generated) {
      expect(Properties.GenerateSecretString).toMatchObject({ PasswordLength: 64 });
      expect(Properties.SecretString).toBeUndefined();
    } else {
      expect(Properties.SecretString).toBe('{}');
      expect(DeletionPolicy).toBe('Retain');
    }
  });

  it('stand in the template by reference only', () => {
    const resolved = [...cell.text.matchAll(/resolve:secretsmanager:/g)];
    expect(resolved.length).toBeGreaterThan(0);
    for (const [id, resource] of Object.entries(cell.resources))
      if (JSON.stringify(resource).includes('resolve:secretsmanager'))
        expect(withoutHash(id), 'only the edge sends the origin secret').toBe('EdgeDistribution');
  });
});
