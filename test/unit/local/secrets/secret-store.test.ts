import { describe, expect, it } from 'vitest';
import { type Secret, VERSIONS_MAX, withCurrent } from '../../../../local/secrets/secret-store.ts';

const empty: Secret = { name: 'n', arn: 'arn', createdAtMs: 0, versions: [] };
const version = (id: string) => ({ id, text: id, createdAtMs: 1 });

describe('withCurrent', () => {
  it('moves the stages along', () => {
    const three = ['a', 'b', 'c'].reduce((secret, id) => withCurrent(secret, version(id)), empty);
    expect(three.versions.map(({ id, stages }) => [id, stages])).toEqual([
      ['a', []],
      ['b', ['AWSPREVIOUS']],
      ['c', ['AWSCURRENT']],
    ]);
  });

  it('forgets the oldest unlabelled versions, never a labelled one', () => {
    const pinned: Secret = { ...empty, versions: [{ ...version('pinned'), stages: ['MINE'] }] };
    const many = Array.from({ length: 30 }, (_, at) => `v${at}`).reduce(
      (secret, id) => withCurrent(secret, version(id)),
      pinned,
    );
    expect(many.versions).toHaveLength(VERSIONS_MAX);
    expect(many.versions[0]?.id).toBe('pinned');
    expect(many.versions.at(-1)).toMatchObject({ id: 'v29', stages: ['AWSCURRENT'] });
  });
});
