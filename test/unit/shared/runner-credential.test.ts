import { describe, expect, test } from 'vitest';
import {
  formatRunnerCredential,
  nextRunnerCredential,
  parseRunnerCredential,
} from '../../../shared/runner-credential.ts';

const scope = { tenantId: 'acme', sessionId: 'ses_01JH4Z7Q8M3V5T9XKCBW2E6RNA', epoch: 3 };
const secret = 'ab'.repeat(32);
const credential = formatRunnerCredential(scope, secret);

describe('a runner credential', () => {
  test('names its scope and comes back', () => {
    expect(credential).toBe(`rt.acme.ses_01JH4Z7Q8M3V5T9XKCBW2E6RNA.3.${secret}`);
    expect(parseRunnerCredential(credential)).toEqual({ ...scope, secret });
  });

  test('is followed by one of the same scope', () => {
    const next = nextRunnerCredential(credential, 'cd'.repeat(32));
    expect(parseRunnerCredential(next)).toEqual({ ...scope, secret: 'cd'.repeat(32) });
  });

  test.each([
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
