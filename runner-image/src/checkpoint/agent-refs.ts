/** Reads the agent's branches, tags and stash without git, which in the agent's repository would obey the agent's configuration. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CHECKPOINT_REFS_MAX, GIT_PACKED_REFS_MAX_BYTES, GIT_SMALL_FILE_MAX_BYTES } from '../../../shared/limits.ts';
import { readInside } from '../workspace/open-inside.ts';
import { fromText, toText } from './byte-path.ts';
import { walkFiles } from './inside.ts';
import { isOwnRef, STASH_REF } from './manifest.ts';

/** Object ids by whole name. */
export type Refs = ReadonlyMap<string, string>;

const OBJECT_ID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

const packedRefs = async (gitFolder: string): Promise<Map<string, string>> => {
  const refs = new Map<string, string>();
  const bytes = await readInside(gitFolder, 'packed-refs', GIT_PACKED_REFS_MAX_BYTES);
  for (const line of bytes?.toString('utf8').split('\n') ?? []) {
    const space = line.indexOf(' ');
    const name = line.slice(space + 1);
    if (OBJECT_ID.test(line.slice(0, space)) && isOwnRef(name)) refs.set(name, line.slice(0, space));
  }
  return refs;
};

const looseRef = async (gitFolder: string, name: string): Promise<string | null> => {
  const bytes = await readInside(gitFolder, name, GIT_SMALL_FILE_MAX_BYTES);
  const value = bytes?.toString('latin1').trim() ?? '';
  return OBJECT_ID.test(value) ? value : null;
};

/** Branches, tags and the stash of the repository whose `.git` is `gitFolder` (without links). Symbolic refs are left out. */
export const readRefs = async (gitFolder: string): Promise<Refs> => {
  const refs = await packedRefs(gitFolder);
  const names = [STASH_REF];
  for (const folder of ['refs/heads', 'refs/tags'])
    for await (const { path, kind } of walkFiles(fromText(gitFolder), folder, 2 * CHECKPOINT_REFS_MAX))
      if (kind === 'file' && isOwnRef(toText(path))) names.push(toText(path));
  for (const name of names) {
    const objectId = await looseRef(gitFolder, name);
    if (objectId !== null) refs.set(name, objectId);
  }
  return refs;
};

const START_REFS = 'start-refs.json';
const StartRefs = z.array(z.tuple([z.string(), z.string()]));

/** Keeps what the clone had before any agent touched it. */
export const rememberStartRefs = async (scratch: string, workspace: string): Promise<void> => {
  const refs = [...(await readRefs(join(workspace, '.git')))];
  await writeFile(join(scratch, START_REFS), JSON.stringify(refs), { mode: 0o600 });
};

/** `null` when nothing was kept. */
export const startRefs = async (scratch: string): Promise<Refs | null> => {
  try {
    return new Map(StartRefs.parse(JSON.parse(await readFile(join(scratch, START_REFS), 'utf8'))));
  } catch {
    // A clone of an earlier runner, or one that could not be prepared to its end.
    return null;
  }
};
