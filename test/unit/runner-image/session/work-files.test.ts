import { expect, it } from 'vitest';
import { silentLog } from '../../../../runner-image/src/log.ts';
import type { Stored } from '../../../../runner-image/src/session/uploads.ts';
import { WorkFiles } from '../../../../runner-image/src/session/work-files.ts';
import { manualClock } from '../manual-clock.ts';

/** Looks twice at the same changes. @returns how often they were to be stored */
const lookedTwice = async (answer: Stored): Promise<number> => {
  let stores = 0;
  const files = new WorkFiles({
    clock: manualClock(),
    log: silentLog,
    diff: async () => ({
      ...{ kind: 'summary', files: [], linesAdded: 0, linesRemoved: 0, patch: 'x', truncated: false },
      ...{ headCommit: '', branch: null },
    }),
    watch: async () => expect.unreachable(),
    record: () => {},
    redact: (text) => text,
    store: async () => {
      stores += 1;
      return answer;
    },
    onTouched: () => {},
  });
  await files.finish();
  await files.finish();
  return stores;
};

it.each([
  ['stored', { kind: 'stored', key: 'k', sha256: 's', sizeBytes: 1 }, 1],
  ['not stored this time', { kind: 'failed', why: 'the line is away' }, 2],
  ['refused for good', { kind: 'failed', why: 'too large', isRefused: true }, 1],
] as const)('a diff that was %s', async (_how, answer, stores) => {
  expect(await lookedTwice(answer)).toBe(stores);
});
