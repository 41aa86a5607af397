/** Reads the agent's HEAD without git, since git in the agent's repository would obey the agent's configuration. */
import { GIT_PACKED_REFS_MAX_BYTES, GIT_SMALL_FILE_MAX_BYTES } from '../../../shared/limits.ts';
import { readInside } from './open-inside.ts';

export interface HeadState {
  /** Short name, `null` when detached. */
  readonly branch: string | null;
  /** `null` on a branch without a commit. */
  readonly commit: string | null;
}

const OBJECT_ID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const REF_LINKS_MAX = 5;
const SAFE_REF = /^refs\/[^\0\n]+$/;

/** Object id of a ref in the text of `packed-refs`. */
export const findPackedRef = (packed: string, ref: string): string | null => {
  for (const line of packed.split('\n')) {
    const space = line.indexOf(' ');
    if (line.slice(space + 1) === ref && OBJECT_ID.test(line.slice(0, space))) return line.slice(0, space);
  }
  return null;
};

const readText = async (gitFolder: string, name: string, maxBytes: number) =>
  (await readInside(gitFolder, name, maxBytes))?.toString('utf8').trim() ?? null;

const readRef = async (gitFolder: string, ref: string): Promise<string | null> => {
  if (!SAFE_REF.test(ref) || ref.split('/').some((part) => part === '' || part === '.' || part === '..')) return null;
  const loose = await readText(gitFolder, ref, GIT_SMALL_FILE_MAX_BYTES);
  if (loose !== null) return loose;
  return findPackedRef((await readText(gitFolder, 'packed-refs', GIT_PACKED_REFS_MAX_BYTES)) ?? '', ref);
};

/** Where HEAD points. `null` when `.git` is not a readable repository (removed, a link, a file). */
export const readHead = async (gitFolder: string): Promise<HeadState | null> => {
  let value = await readText(gitFolder, 'HEAD', GIT_SMALL_FILE_MAX_BYTES);
  if (value === null) return null;
  let branch: string | null = null;
  for (let links = 0; links < REF_LINKS_MAX; links += 1) {
    if (OBJECT_ID.test(value)) return { branch, commit: value };
    if (!value.startsWith('ref: ')) return null;
    const ref = value.slice('ref: '.length).trim();
    branch ??= ref.startsWith('refs/heads/') ? ref.slice('refs/heads/'.length) : ref;
    const next = await readRef(gitFolder, ref);
    if (next === null) return { branch, commit: null };
    value = next;
  }
  return null;
};
