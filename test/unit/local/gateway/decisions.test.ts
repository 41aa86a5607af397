import { describe, expect, it } from 'vitest';
import type { HttpRoute } from '../../../../infra/topology.ts';
import { compileRoutes } from '../../../../local/gateway/http-routes.ts';
import { commonLogTime, gatewayId } from '../../../../local/gateway/request-fields.ts';
import { TokenBucket } from '../../../../local/gateway/token-bucket.ts';
import { authorizerDecision } from '../../../../local/gateway/ws-authorizer.ts';
import { systemRandom } from '../../../../shared/clock.ts';
import { ManualClock } from '../manual-clock.ts';

describe('compileRoutes', () => {
  const route = (path: string, method: HttpRoute['method'] = 'GET'): HttpRoute => ({
    method,
    path,
    function: 'api',
    authorizer: null,
  });
  const find = compileRoutes([
    route('/api/{kind}/{id}'),
    route('/api/sessions/{id}'),
    route('/api/sessions/new'),
    route('/api/x', 'POST'),
  ]);

  it.each([
    ['/api/sessions/new', 'GET /api/sessions/new', {}],
    ['/api/sessions/s1', 'GET /api/sessions/{id}', { id: 's1' }],
    ['/api/builds/b%2F1', 'GET /api/{kind}/{id}', { kind: 'builds', id: 'b/1' }],
  ])('%s → %s', (path, routeKey, pathParameters) => {
    expect(find('GET', path)).toMatchObject({ routeKey, pathParameters });
  });

  it.each(['/api/sessions', '/api/sessions/', '/api/sessions/a/b', '/API/sessions/a', '/api/x'])(
    '%s is not found',
    (path) => {
      expect(find('GET', path)).toBe('not_found');
    },
  );

  it('refuses what is no percent-encoding', () => {
    expect(find('GET', '/api/sessions/%zz')).toBe('bad_path');
  });
});

describe('authorizerDecision', () => {
  const arn = 'arn:aws:execute-api:us-east-1:000000000000:viewer/live/$connect';
  const decide = (statements: unknown, context: unknown = {}) =>
    authorizerDecision(
      { ok: true, payload: { principalId: 'p', policyDocument: { Statement: statements }, context } },
      arn,
      100,
    );
  const statement = (Effect: string, Resource: unknown, Action: unknown = 'execute-api:Invoke') => ({
    Effect,
    Resource,
    Action,
  });

  it.each([
    [statement('Allow', arn), true],
    [statement('Allow', '*'), true],
    [statement('Allow', 'arn:aws:execute-api:*:*:viewer/*/$connect', ['execute-api:*']), true],
    [statement('Allow', 'arn:aws:execute-api:us-east-?:*:viewer/live/?connect'), true],
    [[statement('Allow', '*'), statement('Deny', arn)], false],
    [statement('Allow', arn, 's3:GetObject'), false],
    [statement('Allow', `${arn}x`), false],
    [statement('Allow', arn.replace('/live', '.live')), false],
    [statement('Allow', 'arn:aws:execute-api:us-east-1:000000000000:viewer/live/.connect'), false],
    [[], false],
  ])('%j → allowed %s', (statements, allowed) => {
    const decision = decide(statements);
    expect(decision.allowed).toBe(allowed);
    if (!decision.allowed) expect(decision.status).toBe(403);
  });

  it('turns context into strings and caps it', () => {
    expect(decide(statement('Allow', '*'), { n: 1, b: false })).toEqual({
      allowed: true,
      context: { n: '1', b: 'false', principalId: 'p' },
    });
    expect(decide(statement('Allow', '*'), { a: 'x'.repeat(100) })).toMatchObject({ allowed: false, status: 500 });
    expect(decide(statement('Allow', '*'), { a: null })).toMatchObject({ allowed: false, status: 500 });
  });
});

describe('TokenBucket', () => {
  it('gives the burst, then the rate, and never saves up more than the burst', async () => {
    const clock = new ManualClock();
    const bucket = new TokenBucket(clock, { ratePerSecond: 10, burst: 3 });
    const taken = () => Array.from({ length: 5 }, () => bucket.take()).filter(Boolean).length;
    expect(taken()).toBe(3);
    await clock.advance(99);
    expect(taken()).toBe(0);
    await clock.advance(1);
    expect(taken()).toBe(1);
    await clock.advance(60_000);
    expect(taken()).toBe(3);
  });
});

describe('fields', () => {
  it('look like those of API Gateway', () => {
    expect(commonLogTime(Date.parse('2026-03-02T01:04:05.678Z'))).toBe('02/Mar/2026:01:04:05 +0000');
    expect(gatewayId(systemRandom)).toMatch(/^[\w-]{15}=$/);
  });
});
