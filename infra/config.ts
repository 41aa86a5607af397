/** What an operator may choose at synthesis (`cdk synth -c publicDomain=…`), parsed once; everything else is in topology.ts. */
import type { Node } from 'constructs';
import { z } from 'zod';
import { TenantId } from '../shared/ids.ts';
import { WARM_POOL_MAX } from '../shared/limits.ts';

export const CellConfig = z
  .strictObject({
    /** Host name of the one origin; without it the distribution's own name serves. */
    publicDomain: z.hostname().optional(),
    /** Certificate for that name; CloudFront takes it from us-east-1 only. */
    certificateArn: z
      .string()
      .regex(/^arn:aws:acm:us-east-1:\d{12}:certificate\/.+$/, 'must be an ACM certificate in us-east-1')
      .optional(),
    /** Web ACL of scope CLOUDFRONT, which only us-east-1 can hold: made outside this stack, attached by ARN. */
    webAclArn: z
      .string()
      .regex(/^arn:aws:wafv2:us-east-1:\d{12}:global\/webacl\/.+$/, 'must be a WAFv2 web ACL of scope CLOUDFRONT')
      .optional(),
    /** Tenant whose command line may register builds; without it nobody may. */
    operatorTenant: TenantId.optional(),
    /** Idle tasks kept for each build that a start without a named one gets. */
    warmPoolSize: z.coerce.number().int().min(0).max(WARM_POOL_MAX).default(0),
    /** Image that customers run their own runners from, as the printed command names it. */
    runnerImage: z.string().min(1).optional(),
  })
  .refine((config) => (config.publicDomain === undefined) === (config.certificateArn === undefined), {
    path: ['certificateArn'],
    message: 'publicDomain and certificateArn go together',
  });
export type CellConfig = z.infer<typeof CellConfig>;

/** @throws ZodError naming the context key that does not fit */
export const cellConfigFrom = (node: Node): CellConfig => {
  const given = (key: string): unknown => node.tryGetContext(key) ?? undefined;
  return CellConfig.parse({
    publicDomain: given('publicDomain'),
    certificateArn: given('certificateArn'),
    webAclArn: given('webAclArn'),
    operatorTenant: given('operatorTenant'),
    warmPoolSize: given('warmPoolSize'),
    runnerImage: given('runnerImage'),
  });
};
