/** Clones, checkpoints and restores as a session does, without the session around them. */
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { rememberStartRefs } from '../../runner-image/src/checkpoint/agent-refs.ts';
import { type MakeOptions, makeCheckpoint } from '../../runner-image/src/checkpoint/make-checkpoint.ts';
import { NO_PROGRESS } from '../../runner-image/src/checkpoint/manifest.ts';
import { readManifest, restoreCheckpoint } from '../../runner-image/src/checkpoint/restore-checkpoint.ts';
import { sessionPaths } from '../../runner-image/src/workspace/layout.ts';
import { prepareWorkspace } from '../../runner-image/src/workspace/prepare-workspace.ts';
import { contextFor, inherited, temporaryFolder } from './workspace-support.ts';

export const SESSION = 'ses_01J0000000000000000000000A';
const never = new AbortController().signal;

export interface Place {
  readonly root: string;
  readonly workspace: string;
  readonly scratch: string;
  readonly baseCommit: string;
}

/** A clone under a workspace root of its own. */
export const cloneOf = async (url: string, ref?: string): Promise<Place> => {
  const root = temporaryFolder();
  const request = { sessionId: SESSION, tenantId: 't', url, ...(ref === undefined ? {} : { ref }) };
  const ready = await prepareWorkspace(contextFor(root), request);
  if (ready.kind === 'failed') throw new Error(ready.message);
  const { scratch } = sessionPaths(root, SESSION);
  mkdirSync(scratch, { recursive: true });
  await rememberStartRefs(scratch, ready.path);
  return { root, workspace: ready.path, scratch, baseCommit: ready.headCommit };
};

export const make = (place: Place, more: Partial<MakeOptions> = {}) =>
  makeCheckpoint({
    ...{ sessionId: SESSION, epoch: 1, provider: 'shell', progress: NO_PROGRESS, baseCommit: place.baseCommit },
    ...{ workspace: place.workspace, scratch: place.scratch, conversations: null },
    ...{ inherited, signal: never, parent: join(place.root, 'private') },
    ...more,
  });

export const restore = async (archive: string, url: string, conversations: string | null = null) => {
  const read = await readManifest(archive, never);
  if (read.kind === 'unusable') throw new Error(read.why);
  const place = await cloneOf(url, read.manifest.baseCommit);
  const folder = join(place.scratch, 'restore');
  const options = { archive, workspace: place.workspace, conversations, folder, inherited, signal: never };
  return { place, manifest: read.manifest, result: await restoreCheckpoint(options, read.manifest) };
};

/** What lies below a folder, `.git` left out: path (bytes as latin1) to mode and content. */
export const treeOf = (folder: string): Map<string, string> => {
  const tree = new Map<string, string>();
  const walk = (at: Buffer, below: string): void => {
    for (const name of readdirSync(at, { encoding: 'buffer' }).sort(Buffer.compare)) {
      const relative = below === '' ? name.toString('latin1') : `${below}/${name.toString('latin1')}`;
      if (relative === '.git') continue;
      const path = Buffer.concat([at, Buffer.from('/'), name]);
      const stats = lstatSync(path);
      if (stats.isDirectory()) walk(path, relative);
      else if (stats.isSymbolicLink()) tree.set(relative, `link ${readlinkSync(path, { encoding: 'latin1' })}`);
      else if (stats.isFile())
        tree.set(relative, `${(stats.mode & 0o777).toString(8)} ${readFileSync(path, 'latin1')}`);
    }
  };
  walk(Buffer.from(folder), '');
  return tree;
};
