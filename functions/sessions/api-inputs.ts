/** What runners said to the input of API calls: their answers come on another connection, to another Lambda than the one that waits. */
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { API_INPUT_ANSWER_KEPT_MS } from '../../shared/limits.ts';
import type { Database, Key, Put } from '../database.ts';
import { type SessionRef, sessionPk } from './session-store.ts';

const ApiInputAnswer = z.enum(['taken', 'refused']);
export type ApiInputAnswer = z.infer<typeof ApiInputAnswer>;

export interface ApiInputRef {
  readonly ref: SessionRef;
  readonly epoch: number;
  readonly inputSeq: number;
}

const keyOf = ({ ref, epoch, inputSeq }: ApiInputRef): Key => ({
  pk: sessionPk(ref),
  sk: `INPUT#${epoch}#${inputSeq}`,
});

export const keepAnswer = async (
  { db, clock }: { readonly db: Database; readonly clock: Clock },
  input: ApiInputRef,
  answer: ApiInputAnswer,
): Promise<void> => {
  const expiresAtSec = Math.ceil((clock.nowMs() + API_INPUT_ANSWER_KEPT_MS) / 1_000);
  // A refusal may be followed by the post that was taken, never the other way round.
  const isFirst: Pick<Put, 'conditions'> = answer === 'taken' ? {} : { conditions: [{ attr: 'pk', is: 'absent' }] };
  await db.write({ kind: 'put', table: 'connections', item: { ...keyOf(input), answer, expiresAtSec }, ...isFirst });
};

/** `null`: nothing was said yet. */
export const answerTo = async (db: Database, input: ApiInputRef): Promise<ApiInputAnswer | null> => {
  const item = await db.get('connections', keyOf(input));
  return item === null ? null : ApiInputAnswer.parse(item.answer);
};
