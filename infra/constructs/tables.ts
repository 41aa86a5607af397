/** The topology's tables as DynamoDB tables, on demand. */
import { CfnDeletionPolicy } from 'aws-cdk-lib';
import { CfnTable } from 'aws-cdk-lib/aws-dynamodb';
import { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import type { IndexSpec, KeySpec, TableName, TableSpec } from '../topology.ts';
import { ByName } from './by-name.ts';
import { pascal } from './logical-id.ts';

const keySchema = (partitionKey: KeySpec, sortKey: KeySpec | undefined): CfnTable.KeySchemaProperty[] => [
  { attributeName: partitionKey.name, keyType: 'HASH' },
  ...(sortKey === undefined ? [] : [{ attributeName: sortKey.name, keyType: 'RANGE' }]),
];

/** Every key attribute once: DynamoDB refuses a table that defines one twice, or one no key uses. */
const keyAttributes = (spec: TableSpec): CfnTable.AttributeDefinitionProperty[] => {
  const keys = [spec, ...spec.indexes].flatMap(({ partitionKey, sortKey }) =>
    sortKey === undefined ? [partitionKey] : [partitionKey, sortKey],
  );
  const types = new Map(keys.map(({ name, type }) => [name, type]));
  return [...types].map(([attributeName, attributeType]) => ({ attributeName, attributeType }));
};

const projectionOf = ({ projection }: IndexSpec): CfnTable.ProjectionProperty =>
  typeof projection === 'string'
    ? { projectionType: projection }
    : { projectionType: 'INCLUDE', nonKeyAttributes: [...projection] };

const tableProps = (spec: TableSpec) => ({
  billingMode: 'PAY_PER_REQUEST',
  keySchema: keySchema(spec.partitionKey, spec.sortKey),
  attributeDefinitions: keyAttributes(spec),
  deletionProtectionEnabled: spec.durable,
  pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: spec.durable },
  ...(spec.indexes.length === 0
    ? {}
    : {
        globalSecondaryIndexes: spec.indexes.map((index) => ({
          indexName: index.name,
          keySchema: keySchema(index.partitionKey, index.sortKey),
          projection: projectionOf(index),
        })),
      }),
  ...(spec.ttlAttribute === undefined
    ? {}
    : { timeToLiveSpecification: { attributeName: spec.ttlAttribute, enabled: true } }),
  ...(spec.stream === undefined ? {} : { streamSpecification: { streamViewType: spec.stream } }),
});

export interface TableResource {
  readonly spec: TableSpec;
  readonly resource: CfnTable;
}

export class Tables extends Construct {
  readonly all = new ByName<TableName, TableResource>('table');

  constructor(scope: Construct, id: string, specs: readonly TableSpec[]) {
    super(scope, id);
    for (const spec of specs) {
      const resource = new CfnTable(this, pascal(spec.name), tableProps(spec));
      const policy = spec.durable ? CfnDeletionPolicy.RETAIN : CfnDeletionPolicy.DELETE;
      resource.cfnOptions.deletionPolicy = policy;
      resource.cfnOptions.updateReplacePolicy = policy;
      if (!spec.durable)
        acknowledge(
          resource,
          'AwsSolutions-DDB3',
          'Rows that expire within hours and are rebuilt by the next connection: nothing to recover.',
        );
      this.all.add(spec.name, { spec, resource });
    }
  }
}
