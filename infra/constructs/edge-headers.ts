/** Headers that every answer through the edge gets. */
import { Duration, Stack } from 'aws-cdk-lib';
import { HeadersFrameOption, HeadersReferrerPolicy, ResponseHeadersPolicy } from 'aws-cdk-lib/aws-cloudfront';
import type { Construct } from 'constructs';
import { pagePolicyHeader } from '../../shared/page-policy.ts';

const HSTS_DAYS = 365;

export const edgeHeaders = (scope: Construct): ResponseHeadersPolicy => {
  const { region, urlSuffix } = Stack.of(scope);
  return new ResponseHeadersPolicy(scope, 'Headers', {
    comment: 'Agent Village: what every answer carries',
    securityHeadersBehavior: {
      contentSecurityPolicy: {
        /** Presigned addresses lead to S3. */
        contentSecurityPolicy: pagePolicyHeader([`https://s3.${region}.${urlSuffix}`]),
        override: true,
      },
      contentTypeOptions: { override: true },
      frameOptions: { frameOption: HeadersFrameOption.DENY, override: true },
      referrerPolicy: { referrerPolicy: HeadersReferrerPolicy.NO_REFERRER, override: true },
      strictTransportSecurity: {
        accessControlMaxAge: Duration.days(HSTS_DAYS),
        includeSubdomains: true,
        override: true,
      },
    },
  });
};
