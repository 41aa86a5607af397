import { expect, test } from 'vitest';
import { SessionEventSchema } from '../../../shared/events.ts';
import { isolationWords } from '../../../shared/isolation.ts';

const envelope = { v: 1, sessionId: 'ses_01J0000000000000000000000A', tenantId: 'local', epoch: 1, ts: 1, offset: 0 };
const event = (seq: number, body: object) => SessionEventSchema.parse({ ...envelope, rseq: seq, seq, ...body });
const ready = event(9, { type: 'provider_ready', tookMs: 1, degraded: false });

test.each([
  ['shared_uid', "shares the village's user: it can read what that user can read"],
  ['own_uid', 'runs as a user of its own'],
])('%s is said in words', (isolation, words) => {
  const started = { type: 'provider_started', provider: 'shell', cliVersion: '5', pid: 1, isolation };
  expect(isolationWords([event(8, started), ready])).toBe(words);
});

test('nothing is said before the agent was started', () => {
  expect(isolationWords([ready])).toBeNull();
});
