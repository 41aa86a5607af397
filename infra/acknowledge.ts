/** The only way to accept a finding: by exact id, with a reason, on the construct it is about. */
import { Stack, Validations } from 'aws-cdk-lib';
import { flattenCfnReference } from 'cdk-nag/lib/utils/flatten-cfn-reference.js';
import type { IConstruct } from 'constructs';

/** A resource pattern that a policy cannot do without. */
export interface Wildcard {
  readonly resource: string;
  readonly reason: string;
}

/** @param rule with its pack's prefix (`AwsSolutions-…`): an id without it matches nothing, and the finding stays */
export const acknowledge = (construct: IConstruct, rule: string, reason: string): void =>
  Validations.of(construct).acknowledge({ id: rule, reason });

/** cdk-nag names a wildcard by its resource, flattened: the id is made the same way, so that it accepts this pattern and no other. */
export const acknowledgeWildcard = (construct: IConstruct, { resource, reason }: Wildcard): void => {
  const pattern = flattenCfnReference(Stack.of(construct).resolve(resource));
  acknowledge(construct, `AwsSolutions-IAM5[Resource::${pattern}]`, reason);
};
