/** What runners said to the input of API calls: their answers come on another connection, to another Lambda than the one that waits. */
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { API_INPUT_ANSWER_KEPT_MS, API_INPUT_CONFIRM_MS, API_INPUT_WAITING_MAX } from '../../shared/limits.ts';
import type { Database, Key } from '../database.ts';
import { type SessionRef, sessionPk } from './session-store.ts';

const Row = z.looseObject({ answer: z.enum(['waiting', 'taken', 'refused']), sinceMs: z.int() });
export type ApiInputAnswer = 'taken' | 'refused';

export interface ApiInputRef {
  readonly ref: SessionRef;
  readonly epoch: number;
  readonly inputSeq: number;
}

const keyOf = ({ ref, epoch, inputSeq }: ApiInputRef): Key => ({
  pk: sessionPk(ref),
  sk: `INPUT#${epoch}#${inputSeq}`,
});

/** To be written before the input is posted: answers to what nobody asked are not kept. */
export const awaitAnswer = async (
  { db, clock }: { readonly db: Database; readonly clock: Clock },
  input: ApiInputRef,
): Promise<void> => {
  const sinceMs = clock.nowMs();
  const expiresAtSec = Math.ceil((sinceMs + API_INPUT_ANSWER_KEPT_MS) / 1_000);
  await db.write({
    kind: 'put',
    table: 'connections',
    item: { ...keyOf(input), answer: 'waiting', sinceMs, expiresAtSec },
  });
};

/** The first answer stands. */
export const keepAnswer = async (db: Database, input: ApiInputRef, answer: ApiInputAnswer): Promise<void> => {
  const conditions = [{ attr: 'answer', op: '=', value: 'waiting' }] as const;
  await db.write({ kind: 'update', table: 'connections', key: keyOf(input), set: { answer }, conditions });
};

const read = async (db: Database, input: ApiInputRef) => {
  const item = await db.get('connections', keyOf(input));
  return item === null ? null : Row.parse(item);
};

/** `null`: nothing was said yet. */
export const answerTo = async (db: Database, input: ApiInputRef): Promise<ApiInputAnswer | null> => {
  const answer = (await read(db, input))?.answer ?? 'waiting';
  return answer === 'waiting' ? null : answer;
};

/** Whether as many before this one wait for their answers as may wait at once. */
export const tooManyWait = async (
  { db, clock }: { readonly db: Database; readonly clock: Clock },
  input: ApiInputRef,
): Promise<boolean> => {
  const inputSeq = input.inputSeq - API_INPUT_WAITING_MAX;
  if (inputSeq < 1) return false;
  const row = await read(db, { ...input, inputSeq });
  return row?.answer === 'waiting' && clock.nowMs() - row.sinceMs < API_INPUT_CONFIRM_MS;
};
