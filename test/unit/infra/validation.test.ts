import { Validations } from 'aws-cdk-lib';
import { CfnTable } from 'aws-cdk-lib/aws-dynamodb';
import { ManagedPolicy, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnBucket } from 'aws-cdk-lib/aws-s3';
import { AwsSolutionsChecks } from 'cdk-nag';
import type { IConstruct } from 'constructs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { acknowledge, acknowledgeWildcard } from '../../../infra/acknowledge.ts';
import { cellApp } from '../../../infra/cell-app.ts';
import { synthesisContext, synthesise } from './cell.ts';

interface Finding {
  readonly path: string;
  readonly rule: string;
}

/** Everything AwsSolutions would say if nothing were acknowledged. */
const findingsWithoutAcknowledgments = (root: IConstruct): Finding[] => {
  const checks = new AwsSolutionsChecks();
  const findings: Finding[] = [];
  const record = (resource: IConstruct, rule: string): boolean => {
    findings.push({ path: resource.node.path, rule });
    return false;
  };
  if (!Reflect.set(checks, 'isAcknowledged', record)) throw new Error('cdk-nag no longer asks isAcknowledged');
  checks.validateScope(root);
  return findings;
};

interface Acknowledged {
  readonly path: string;
  readonly rule: string;
  readonly reason: string;
}
const acknowledged = (root: IConstruct): Acknowledged[] =>
  root.node.findAll().flatMap((construct) =>
    construct.node.metadata
      .filter(({ type }) => type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY)
      .flatMap(({ data }) =>
        Object.entries(z.record(z.string(), z.string()).parse(data))
          .map(([id, reason]) => ({ path: construct.node.path, rule: id.replace(/^annotation::/i, ''), reason }))
          /** The CDK accepts findings of its own rules in its own constructs. */
          .filter(({ rule }) => rule.startsWith('AwsSolutions-')),
      ),
  );

/** Each case is a whole synthesis with all checks. */
describe('checks of the synthesis', { timeout: 60_000 }, () => {
  it('finds nothing in the cell, not even a warning', () => {
    expect(synthesise().violations).toEqual([]);
  });

  it('accepts a domain, its certificate and a web ACL', () => {
    const domain = {
      publicDomain: 'village.example.com',
      certificateArn: 'arn:aws:acm:us-east-1:123456789012:certificate/1',
      webAclArn: 'arn:aws:wafv2:us-east-1:123456789012:global/webacl/village/1',
    };
    const { violations, of } = synthesise(domain);
    expect(violations).toEqual([]);
    const [, distribution] = of('AWS::CloudFront::Distribution')[0] ?? [];
    expect(distribution?.Properties.DistributionConfig).toMatchObject({
      Aliases: ['village.example.com'],
      WebACLId: domain.webAclArn,
      ViewerCertificate: { AcmCertificateArn: domain.certificateArn, MinimumProtocolVersion: 'TLSv1.2_2021' },
    });
    const functions = of('AWS::Lambda::Function');
    for (const [, { Properties }] of functions)
      expect(Properties.Environment).toMatchObject({ Variables: { PUBLIC_URL: 'https://village.example.com' } });
  });

  it.each([
    [{ publicDomain: 'village.example.com' }, /go together/],
    [
      { publicDomain: 'not a name', certificateArn: 'arn:aws:acm:us-east-1:123456789012:certificate/1' },
      /publicDomain/,
    ],
    [{ webAclArn: 'arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/a/1' }, /scope CLOUDFRONT/],
  ])('refuses the settings %j', (context, message) => {
    expect(() => cellApp({ context: synthesisContext(context) })).toThrow(message);
  });

  it('fails on a property that CloudFormation would refuse', () => {
    const corrupt = () =>
      synthesise({}, ({ stack }) => {
        const table = stack.node.findAll().find((construct) => construct instanceof CfnTable);
        if (!(table instanceof CfnTable)) throw new Error('the cell has no table');
        table.addPropertyOverride('BillingMode', 'PAY_WHEN_RICH');
      });
    expect(corrupt).toThrow(/BillingMode|PAY_WHEN_RICH/);
  });

  it('fails on a finding that nobody acknowledged', () => {
    expect(() => synthesise({}, ({ stack }) => new CfnBucket(stack, 'Open'))).toThrow(/AwsSolutions-S/);
  });

  it('fails on a wildcard that nobody acknowledged, beside one that was', () => {
    const plant = (accepted: boolean) => () =>
      synthesise({}, ({ stack }) => {
        const role = new Role(stack, 'Planted', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
        role.addToPolicy(new PolicyStatement({ actions: ['sqs:SendMessage'], resources: ['arn:aws:sqs:*:*:one'] }));
        acknowledgeWildcard(role, { resource: accepted ? 'arn:aws:sqs:*:*:one' : '*', reason: 'Planted by a test.' });
      });
    expect(plant(false)).toThrow(/IAM5/);
    expect(plant(true)).not.toThrow();
  });

  it('does not take a rule without the prefix of its pack', () => {
    const plant = (rule: string) => () =>
      synthesise({}, ({ stack }) => {
        const role = new Role(stack, 'Planted', {
          assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
          managedPolicies: [ManagedPolicy.fromManagedPolicyArn(stack, 'P', 'arn:aws:iam::aws:policy/ReadOnlyAccess')],
        });
        acknowledge(role, rule, 'Planted by a test.');
      });
    const finding = 'IAM4[Policy::arn:aws:iam::aws:policy/ReadOnlyAccess]';
    expect(plant(finding)).toThrow(/IAM4/);
    expect(plant(`AwsSolutions-${finding}`)).not.toThrow();
  });
});

describe('acknowledgments', () => {
  const { stack } = cellApp({ context: synthesisContext() });
  const all = [...new Map(acknowledged(stack).map((one) => [`${one.path} ${one.rule}`, one])).values()];
  const findings = findingsWithoutAcknowledgments(stack);

  it('there are some', () => {
    expect(all.length).toBeGreaterThan(10);
  });

  it.each(all.map((entry) => [`${entry.path} ${entry.rule}`, entry] as const))(
    '%s: is needed, with a reason',
    (_, entry) => {
      const needed = findings.some(
        ({ path, rule }) => rule === entry.rule && (path === entry.path || path.startsWith(`${entry.path}/`)),
      );
      expect(needed, 'an acknowledgment that no finding needs hides a later one').toBe(true);
      expect(entry.reason.length).toBeGreaterThan(15);
    },
  );
});
