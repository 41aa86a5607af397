/** Headers that every answer through the edge gets. */
import { Duration, Stack } from 'aws-cdk-lib';
import { HeadersFrameOption, HeadersReferrerPolicy, ResponseHeadersPolicy } from 'aws-cdk-lib/aws-cloudfront';
import type { Construct } from 'constructs';

const HSTS_DAYS = 365;

/** `storage` is where presigned addresses lead; xterm sets inline styles, so styles stay open; the player of recordings is WebAssembly. */
const contentPolicy = (storage: string): string =>
  [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self' data:",
    "manifest-src 'self'",
    `connect-src 'self' ${storage}`,
    "worker-src 'self' blob:",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ');

export const edgeHeaders = (scope: Construct): ResponseHeadersPolicy => {
  const { region, urlSuffix } = Stack.of(scope);
  return new ResponseHeadersPolicy(scope, 'Headers', {
    comment: 'Agent Village: what every answer carries',
    securityHeadersBehavior: {
      contentSecurityPolicy: {
        contentSecurityPolicy: contentPolicy(`https://s3.${region}.${urlSuffix}`),
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
