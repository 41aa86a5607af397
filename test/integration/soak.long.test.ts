/** Many sessions at once for a long time, under chaos, and a day on a virtual clock. Figures are printed as JSON. */
import { describe, expect, it } from 'vitest';
import { realClaude } from '../fakes/village.ts';
import { expectFlat, soaked, soakedVirtually } from './soak-support.ts';

const isLong = Boolean(process.env.VILLAGE_LONG);
if (!isLong) console.log('soak: skipped, part of npm run test:long');
const amount = (name: string, normal: number): string => process.env[name] ?? String(normal);
const MINUTES = amount('VILLAGE_SOAK_MINUTES', 10);
const FLAT_MINUTES = amount('VILLAGE_SOAK_FLAT_MINUTES', 30);
const SESSIONS = amount('VILLAGE_SOAK_SESSIONS', 100);
const DAY_HOURS = 24;
const TIMEOUT_MS = 60 * 60_000;
/** Of control plane and relay, screen model included. */
const MB_PER_SESSION_MAX = 17;

describe.skipIf(!isLong)('soak', () => {
  it(
    `${SESSIONS} sessions of the fake agent for ${MINUTES} minutes under chaos: nothing is lost`,
    async () => {
      const { mbPerSession } = await soaked('--sessions', SESSIONS, '--minutes', MINUTES);
      expect(mbPerSession.sum).toBeLessThanOrEqual(MB_PER_SESSION_MAX);
    },
    TIMEOUT_MS,
  );

  it.skipIf(!isLong || realClaude() === undefined)(
    `8 sessions of the real Claude Code for ${MINUTES} minutes under chaos: nothing is lost`,
    () => soaked('--real', '--sessions', '8', '--minutes', MINUTES),
    TIMEOUT_MS,
  );

  it(
    `${FLAT_MINUTES} minutes: memory and open files stay where they are`,
    async () => expectFlat(await soaked('--sessions', '20', '--minutes', FLAT_MINUTES, '--runner', '21')),
    TIMEOUT_MS,
  );

  it(
    `${DAY_HOURS} hours on a virtual clock: nothing is lost, heap and timers stay where they are`,
    async () => {
      const { dials, sessions } = await soakedVirtually(DAY_HOURS);
      // A session is at most 8 h, a connection less than 2 h.
      expect(sessions).toBeGreaterThanOrEqual(3);
      expect(dials).toBeGreaterThanOrEqual(12);
    },
    TIMEOUT_MS,
  );
});
