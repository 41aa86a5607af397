import { describe, expect, it } from 'vitest';
import { endingOfExit } from '../../../../runner-image/src/session/provider-reactions.ts';

describe('endingOfExit', () => {
  const exit = (exitCode: number | null, signal: number | null = null) => ({ exitCode, signal });
  it.each([
    ['shell', false, exit(0), 'completed', 'exited'],
    ['shell', false, exit(3), 'completed', 'exited'],
    ['shell', false, exit(null, 9), 'failed', 'provider_exited'],
    ['shell', false, exit(0, 1), 'failed', 'provider_exited'],
    ['shell', false, exit(null), 'failed', 'provider_exited'],
    ['claude_code', false, exit(0), 'failed', 'provider_exited'],
    ['claude_code', true, exit(0), 'completed', 'exited'],
    ['claude_code', true, exit(1), 'failed', 'provider_exited'],
  ] as const)('%s (led: %s) that ended with %o is %s', (provider, isLed, how, to, code) =>
    expect(endingOfExit(how, { provider, isLed, lastScreen: 'screen' })).toMatchObject({ to, reason: { code } }),
  );

  it('keeps the last screen of a failure', () => {
    const { reason } = endingOfExit(exit(1), { provider: 'claude_code', isLed: false, lastScreen: 'why' });
    expect(reason).toMatchObject({ lastScreen: 'why' });
  });
});
