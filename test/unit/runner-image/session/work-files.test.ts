import { expect, it } from 'vitest';
import { silentLog } from '../../../../runner-image/src/log.ts';
import type { Stored } from '../../../../runner-image/src/session/uploads.ts';
import { WorkFiles } from '../../../../runner-image/src/session/work-files.ts';
import { DIFF_DEBOUNCE_MS, DIFF_PAUSE_MS, DIFF_UNWATCHED_PAUSE_MS } from '../../../../shared/limits.ts';
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

const FILE = { path: 'a.txt', status: 'modified', staged: false, binary: false, added: 1, removed: 0 } as const;

/** Each look finds another change. */
const looking = () => {
  const clock = manualClock();
  let looks = 0;
  const files = new WorkFiles({
    clock,
    log: silentLog,
    diff: async () => {
      looks += 1;
      return {
        ...{
          kind: 'summary',
          files: [FILE],
          linesAdded: 0,
          linesRemoved: 0,
          patch: `change ${looks}`,
          truncated: false,
        },
        ...{ headCommit: '', branch: null },
      };
    },
    watch: async () => expect.unreachable(),
    record: () => {},
    redact: (text) => text,
    store: async () => ({ kind: 'stored', key: 'k', sha256: 's', sizeBytes: 1 }),
    onTouched: () => {},
  });
  const pass = async (ms: number): Promise<number> => {
    clock.advance(ms);
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
    return looks;
  };
  return { files, pass };
};

it('diffs are rare while nobody watches, and soon once somebody does', async () => {
  const { files, pass } = looking();
  files.hint();
  expect(await pass(DIFF_DEBOUNCE_MS)).toBe(1);
  files.hint();
  expect(await pass(DIFF_UNWATCHED_PAUSE_MS - 1)).toBe(1);
  expect(await pass(1)).toBe(2);
  files.hint();
  await pass(DIFF_PAUSE_MS);
  files.setWatched(true);
  expect(await pass(DIFF_DEBOUNCE_MS)).toBe(3);
  files.hint();
  expect(await pass(DIFF_PAUSE_MS)).toBe(4);
});
