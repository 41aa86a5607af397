/** The one origin that people, programs and runners see: CloudFront in front of page, API and WebSockets. */
import { Duration, SecretValue } from 'aws-cdk-lib';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import {
  AllowedMethods,
  type BehaviorOptions,
  CachePolicy,
  Distribution,
  Function as EdgeFunction,
  FunctionCode,
  FunctionEventType,
  HttpVersion,
  OriginProtocolPolicy,
  OriginRequestPolicy,
  OriginSslPolicy,
  PriceClass,
  type ResponseHeadersPolicy,
  SecurityPolicyProtocol,
  ViewerProtocolPolicy,
} from 'aws-cdk-lib/aws-cloudfront';
import { HttpOrigin, S3BucketOrigin } from 'aws-cdk-lib/aws-cloudfront-origins';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { CfnSecret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import type { CellConfig } from '../config.ts';
import type { WebSocketApiSpec } from '../topology.ts';
import { PAGE_REWRITE, socketRewrite } from './edge-functions.ts';
import { edgeHeaders } from './edge-headers.ts';
import type { HttpApi } from './http-api.ts';
import { WEBSOCKET_STAGE, type WebSocketApi } from './websocket-api.ts';

/** The authorizers' check that a request came through here (functions/middleware/authorize.ts). */
export const ORIGIN_SECRET_HEADER = 'x-origin-secret';
/** The API answers within 29 s or not at all. */
const ORIGIN_READ_TIMEOUT = Duration.seconds(30);

export interface EdgeProps {
  readonly config: CellConfig;
  readonly page: Bucket;
  readonly accessLogs: Bucket;
  readonly originSecret: CfnSecret;
  readonly http: HttpApi;
  readonly sockets: readonly { readonly spec: WebSocketApiSpec; readonly api: WebSocketApi }[];
}

export class Edge extends Construct {
  readonly distribution: Distribution;
  /** `https://…`, without a slash at the end. */
  readonly publicUrl: string;

  constructor(scope: Construct, id: string, props: EdgeProps) {
    super(scope, id);
    const { config, page, accessLogs } = props;
    const headers = edgeHeaders(this);
    this.distribution = new Distribution(this, 'Distribution', {
      comment: 'Agent Village',
      defaultRootObject: 'index.html',
      defaultBehavior: this.#page(page, headers),
      additionalBehaviors: this.#behaviors(props, headers),
      httpVersion: HttpVersion.HTTP2_AND_3,
      priceClass: PriceClass.PRICE_CLASS_ALL,
      enableLogging: true,
      logBucket: accessLogs,
      logFilePrefix: 'edge/',
      /** Cookies hold the session. */
      logIncludesCookies: false,
      ...this.#domain(config),
      ...(config.webAclArn === undefined ? {} : { webAclId: config.webAclArn }),
    });
    this.publicUrl = `https://${config.publicDomain ?? this.distribution.distributionDomainName}`;
    this.#accept(config);
  }

  #domain({ publicDomain, certificateArn }: CellConfig): object {
    if (publicDomain === undefined || certificateArn === undefined) return {};
    return {
      domainNames: [publicDomain],
      certificate: Certificate.fromCertificateArn(this, 'Certificate', certificateArn),
      minimumProtocolVersion: SecurityPolicyProtocol.TLS_V1_2_2021,
    };
  }

  #page(page: Bucket, headers: ResponseHeadersPolicy): BehaviorOptions {
    return {
      origin: S3BucketOrigin.withOriginAccessControl(page),
      viewerProtocolPolicy: ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
      cachePolicy: CachePolicy.CACHING_OPTIMIZED,
      responseHeadersPolicy: headers,
      compress: true,
      functionAssociations: [this.#rewrite('PageRewrite', PAGE_REWRITE)],
    };
  }

  #behaviors(
    { http, sockets, originSecret }: EdgeProps,
    headers: ResponseHeadersPolicy,
  ): Record<string, BehaviorOptions> {
    const toStage = this.#rewrite('SocketRewrite', socketRewrite(WEBSOCKET_STAGE));
    const through = (domainName: string): BehaviorOptions => ({
      origin: apiOrigin(domainName, originSecret),
      viewerProtocolPolicy: ViewerProtocolPolicy.HTTPS_ONLY,
      allowedMethods: AllowedMethods.ALLOW_ALL,
      cachePolicy: CachePolicy.CACHING_DISABLED,
      /** API Gateway finds the API by the Host header, so that ours must not reach it. */
      originRequestPolicy: OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
      responseHeadersPolicy: headers,
    });
    return {
      '/api/*': through(http.domainName),
      ...Object.fromEntries(
        sockets.map(({ spec, api }) => [spec.path, { ...through(api.domainName), functionAssociations: [toStage] }]),
      ),
    };
  }

  #rewrite(id: string, code: string) {
    const edgeFunction = new EdgeFunction(this, id, { code: FunctionCode.fromInline(code) });
    return { function: edgeFunction, eventType: FunctionEventType.VIEWER_REQUEST };
  }

  #accept({ publicDomain, webAclArn }: CellConfig): void {
    acknowledge(this.distribution, 'AwsSolutions-CFR1', 'Customers are anywhere: no country is shut out.');
    if (webAclArn === undefined)
      acknowledge(
        this.distribution,
        'AwsSolutions-CFR2',
        'A web ACL of scope CLOUDFRONT lives in us-east-1; the operator attaches one with -c webAclArn=….',
      );
    if (publicDomain === undefined)
      acknowledge(
        this.distribution,
        'AwsSolutions-CFR4',
        "CloudFront's own name comes with its own certificate and its own minimum; -c publicDomain=… sets TLS 1.2.",
      );
  }
}

/** The secret is resolved at deployment and stands in the distribution's configuration; a rotation needs a deployment. */
const apiOrigin = (domainName: string, secret: CfnSecret): HttpOrigin =>
  new HttpOrigin(domainName, {
    protocolPolicy: OriginProtocolPolicy.HTTPS_ONLY,
    originSslProtocols: [OriginSslPolicy.TLS_V1_2],
    readTimeout: ORIGIN_READ_TIMEOUT,
    customHeaders: { [ORIGIN_SECRET_HEADER]: SecretValue.secretsManager(secret.ref).unsafeUnwrap() },
  });
