import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ORIGIN_SECRET_HEADER as CHECKED_HEADER } from '../../../functions/middleware/authorize.ts';
import { HTTP_LOG_FORMAT, WEBSOCKET_LOG_FORMAT } from '../../../infra/constructs/api-access-log.ts';
import { ORIGIN_SECRET_HEADER } from '../../../infra/constructs/edge.ts';
import { PAGE_REWRITE, socketRewrite } from '../../../infra/constructs/edge-functions.ts';
import { HTTP_ROUTES, WEBSOCKET_APIS } from '../../../infra/topology.ts';
import { template, withoutHash } from './cell.ts';

const cell = template();
const Behaviour = z.looseObject({
  PathPattern: z.string().optional(),
  TargetOriginId: z.string(),
  CachePolicyId: z.string(),
  ViewerProtocolPolicy: z.string(),
  AllowedMethods: z.array(z.string()).optional(),
  OriginRequestPolicyId: z.string().optional(),
  FunctionAssociations: z.array(z.looseObject({ FunctionARN: z.unknown().optional() })).optional(),
});
const Config = z.looseObject({
  DefaultCacheBehavior: Behaviour,
  CacheBehaviors: z.array(Behaviour),
  Origins: z.array(z.looseObject({ Id: z.string(), OriginCustomHeaders: z.unknown().optional() })),
  CustomErrorResponses: z.unknown().optional(),
  Logging: z.looseObject({ IncludeCookies: z.boolean().optional() }),
});
const config = Config.parse(cell.of('AWS::CloudFront::Distribution')[0]?.[1].Properties.DistributionConfig);
const originOf = ({ TargetOriginId }: z.infer<typeof Behaviour>) => {
  const origin = config.Origins.find(({ Id }) => Id === TargetOriginId);
  return { text: withoutHash(JSON.stringify(origin).replaceAll('"', ' ')), origin };
};
/** Ids that AWS gave its own policies. */
const CACHING_DISABLED = '4135ea2d-6df8-44a3-9df3-4b5a84be39ad';
const ALL_VIEWER_EXCEPT_HOST = 'b689b0a8-53d0-40ab-baf2-68738e2966ac';

const rewrite = (code: string, uri: string): string => {
  const request = { uri, querystring: { a: { value: '1' } } };
  const result: unknown = runInNewContext(`${code}\nhandler({ request: given })`, { given: request });
  return z.object({ uri: z.string() }).parse(result).uri;
};

describe('the one origin', () => {
  it('leads /api and each WebSocket path to its API, uncached, with the secret', () => {
    const expected = ['/api/*', ...WEBSOCKET_APIS.map(({ path }) => path)];
    expect(config.CacheBehaviors.map(({ PathPattern }) => PathPattern).sort()).toEqual(expected.sort());
    for (const behaviour of config.CacheBehaviors) {
      expect(behaviour).toMatchObject({
        CachePolicyId: CACHING_DISABLED,
        OriginRequestPolicyId: ALL_VIEWER_EXCEPT_HOST,
        ViewerProtocolPolicy: 'https-only',
      });
      expect(behaviour.AllowedMethods).toContain('POST');
      const { text } = originOf(behaviour);
      expect(text).toContain(CHECKED_HEADER);
      expect(text).toContain('resolve:secretsmanager:');
      const socket = WEBSOCKET_APIS.find(({ path }) => path === behaviour.PathPattern);
      expect(text).toContain(
        socket === undefined ? 'HttpApi' : `${socket.name === 'viewer' ? 'Viewer' : 'Runner'}SocketApi`,
      );
    }
    expect(ORIGIN_SECRET_HEADER).toBe(CHECKED_HEADER);
  });

  it('serves the page from a bucket that only it can read', () => {
    expect(originOf(config.DefaultCacheBehavior).text).toContain('BucketsPage');
    expect(originOf(config.DefaultCacheBehavior).text).not.toContain(CHECKED_HEADER);
    const policy = cell.of('AWS::S3::BucketPolicy').find(([id]) => withoutHash(id) === 'BucketsPagePolicy');
    const text = JSON.stringify(policy?.[1].Properties);
    expect(text).toContain('"Service":"cloudfront.amazonaws.com"');
    expect(text).toContain('AWS:SourceArn');
  });

  it('rewrites sockets to the stage and page addresses to the page, each where it belongs', () => {
    const usedBy = (behaviour: z.infer<typeof Behaviour>) =>
      withoutHash(JSON.stringify(behaviour.FunctionAssociations ?? []).replaceAll('"', ' '));
    expect(usedBy(config.DefaultCacheBehavior)).toContain('EdgePageRewrite');
    for (const behaviour of config.CacheBehaviors)
      expect(usedBy(behaviour).includes('EdgeSocketRewrite'), behaviour.PathPattern).toBe(
        behaviour.PathPattern !== '/api/*',
      );
  });

  it('hides no answer of the API behind the page', () => {
    expect(config.CustomErrorResponses).toBeUndefined();
  });

  it('logs no cookie', () => {
    expect(config.Logging.IncludeCookies ?? false).toBe(false);
  });

  it('covers every route', () => {
    for (const { path } of HTTP_ROUTES) expect(path.startsWith('/api/')).toBe(true);
  });
});

describe('functions at the edge', () => {
  it.each([
    ['/', '/index.html'],
    ['/sessions/01J8', '/index.html'],
    ['/signin', '/index.html'],
    ['/v1.2/sessions', '/index.html'],
    ['/assets/index-abc.js', '/assets/index-abc.js'],
    ['/favicon.svg', '/favicon.svg'],
  ])('page %s → %s', (from, to) => {
    expect(rewrite(PAGE_REWRITE, from)).toBe(to);
  });

  it.each(WEBSOCKET_APIS.map(({ path }) => path))('socket %s → the stage', (path) => {
    expect(rewrite(socketRewrite('live'), path)).toBe('/live');
  });
});

describe('what is written down of a request', () => {
  it.each([HTTP_LOG_FORMAT, WEBSOCKET_LOG_FORMAT])('no header, query or body: %s', (format) => {
    const variables = Object.values(z.record(z.string(), z.string()).parse(JSON.parse(format)));
    for (const variable of variables) expect(variable).toMatch(/^\$context\./);
    expect(format).not.toMatch(/header|querystring|body|context\.path|authorizer\.(?!error)/i);
  });

  it('every stage has an access log', () => {
    for (const [id, { Properties }] of cell.of('AWS::ApiGatewayV2::Stage'))
      expect(Properties.AccessLogSettings, id).toMatchObject({ DestinationArn: {}, Format: expect.any(String) });
  });
});

describe('headers', () => {
  it('of every answer', () => {
    const [, policy] = cell.of('AWS::CloudFront::ResponseHeadersPolicy')[0] ?? [];
    const text = JSON.stringify(policy?.Properties);
    expect(text).toContain("frame-ancestors 'none'");
    expect(text).toContain("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';");
    expect(text).toContain("worker-src 'none'");
    expect(text).not.toContain("'unsafe-eval'");
    expect(policy?.Properties.ResponseHeadersPolicyConfig).toMatchObject({
      SecurityHeadersConfig: {
        ContentTypeOptions: { Override: true },
        FrameOptions: { FrameOption: 'DENY' },
        StrictTransportSecurity: { AccessControlMaxAgeSec: 31_536_000 },
      },
    });
  });
});
