/** The soak in small: a few sessions for seconds under chaos, and hours on a virtual clock. `npm run test:long` has it in full. */
import { describe, expect, it } from 'vitest';
import { parseOptions } from '../soak/options.ts';
import { soaked, soakedVirtually } from './soak-support.ts';

const TIMEOUT_MS = 300_000;

describe('soak', () => {
  it(
    'loses nothing of a few sessions under chaos',
    async () => {
      const { prompts } = await soaked('--sessions', '3', '--minutes', '0.3', '--runner', '2', '--pace', '5');
      expect(prompts).toMatchObject({ taken: expect.any(Number), unsure: expect.any(Number) });
    },
    TIMEOUT_MS,
  );

  it(
    'loses nothing in two hours of a clock that jumps',
    async () => {
      const { dials } = await soakedVirtually(2);
      // The first, one after a cut or before the limit of a connection.
      expect(dials).toBeGreaterThanOrEqual(2);
    },
    TIMEOUT_MS,
  );

  it('says what is wrong with what it was asked', () => {
    const messageOf = (...argv: string[]) => {
      const asked = parseOptions(argv);
      return asked.kind === 'bad' ? asked.message : asked.kind;
    };
    expect(messageOf('--sessions', '0')).toContain('--sessions 0: write a whole number from 1 to');
    expect(messageOf('--minutes', 'ten')).toContain('--minutes ten');
    expect(messageOf('--chaos', 'drop=2')).toContain('--chaos');
    expect(messageOf('--hurry')).toContain('--hurry');
    expect(messageOf('--hours', '24')).toBe('virtual');
    expect(parseOptions(['--real'])).toMatchObject({ options: { sessions: 8, minutes: 10, isReal: true } });
    expect(parseOptions(['--chaos', 'none'])).toMatchObject({ options: { sessions: 100, chaos: '' } });
  });
});
