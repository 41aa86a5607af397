import { describe, expect, test } from 'vitest';
import {
  formatRunnerCredential,
  nextRunnerCredential,
  parseRunnerCredential,
} from '../../../shared/runner-credential.ts';

const scope = { kind: 'session' as const, tenantId: 'acme', sessionId: 'ses_01JH4Z7Q8M3V5T9XKCBW2E6RNA', epoch: 3 };
const secret = 'ab'.repeat(32);
const credential = formatRunnerCredential(scope, secret);

describe('a runner credential', () => {
  test('names its scope and comes back', () => {
    expect(credential).toBe(`rt.acme.ses_01JH4Z7Q8M3V5T9XKCBW2E6RNA.3.${secret}`);
    expect(parseRunnerCredential(credential)).toEqual({ principal: scope, secret });
  });

  test('is followed by one of the same scope', () => {
    const next = nextRunnerCredential(credential, 'cd'.repeat(32));
    expect(parseRunnerCredential(next)).toEqual({ principal: scope, secret: 'cd'.repeat(32) });
  });

  test.each([
    [{ kind: 'group' as const, tenantId: 'acme', runnerId: 'farm.host-1' }, `rr.acme.farm.host-1.${secret}`],
    [{ kind: 'warm' as const, runnerId: 'warm-1' }, `rw.warm-1.${secret}`],
  ])('names a runner that serves several sessions, or none yet', (principal, text) => {
    expect(formatRunnerCredential(principal, secret)).toBe(text);
    expect(parseRunnerCredential(text)).toEqual({ principal, secret });
  });

  test.each([
    `rr.acme.${secret}`,
    `rr.acme..${secret}`,
    `rr.ACME.host.${secret}`,
    `rw.${secret}`,
    `rw..${secret}`,
    '',
    '....',
    secret,
    `xx.acme.${scope.sessionId}.3.${secret}`,
    `rt.acme.${scope.sessionId}.3`,
    `rt.acme.${scope.sessionId}.3.${'a'.repeat(31)}`,
    `rt.acme.${scope.sessionId}.3.${secret}.more`,
    `rt.ACME.${scope.sessionId}.3.${secret}`,
    `rt.acme#T.${scope.sessionId}.3.${secret}`,
    `rt..${scope.sessionId}.3.${secret}`,
    `rt.acme.ses_1.3.${secret}`,
    `rt.acme.${scope.sessionId}.0.${secret}`,
    `rt.acme.${scope.sessionId}.-1.${secret}`,
    `rt.acme.${scope.sessionId}.1e99.${secret}`,
    `rt.acme.${scope.sessionId}.x.${secret}`,
    `rt.acme.${scope.sessionId}..${secret}`,
  ])('%s is none', (text) => {
    expect(parseRunnerCredential(text)).toBeNull();
  });
});
