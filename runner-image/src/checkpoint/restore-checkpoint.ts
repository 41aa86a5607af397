/**
 * Puts a checkpoint into a fresh clone of its base commit, before any agent is there: files, index, commits and refs as they
 * were. What does not fit ends the restore; the caller then removes the clone.
 */
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CHECKPOINT_LIST_MAX_BYTES,
  CHECKPOINT_UNPACKED_MAX_BYTES,
  GIT_CLONE_TIMEOUT_MS,
  GIT_INDEX_MAX_BYTES,
} from '../../../shared/limits.ts';
import { runGit } from '../workspace/git.ts';
import { EXACT_ATTRIBUTES } from '../workspace/private-repository.ts';
import { type ArchiveEntry, readArchive, readBody } from './archive-reader.ts';
import { fromText, isGitFolder, splitNul, toText } from './byte-path.ts';
import { GitFailed, outputOf } from './git-calls.ts';
import { isGitFile } from './git-files.ts';
import { CheckpointManifest, ENTRIES, STASH_REF } from './manifest.ts';
import { type Placing, placeFile } from './place-file.ts';
import { TarDamaged } from './tar-format.ts';
import { type InsideWriter, insideWriter, NotWritable } from './write-inside.ts';

export interface RestoreOptions {
  /** The archive, whose size and hash were checked. */
  readonly archive: string;
  /** The clone, at `manifest.baseCommit`. */
  readonly workspace: string;
  /** Folder for the CLI's conversations, which is made; `null` for a CLI without any. */
  readonly conversations: string | null;
  /** A private folder, on the disk of the clone. */
  readonly folder: string;
  readonly inherited: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export type RestoreResult =
  | { readonly kind: 'restored'; readonly conversationFiles: number; readonly leftOut: readonly string[] }
  | { readonly kind: 'unusable'; readonly why: string };

const MANIFEST_MAX_BYTES = 4 * 1024 * 1024;

const reasonOf = (error: unknown): string | null => {
  if (error instanceof TarDamaged || error instanceof NotWritable || error instanceof GitFailed) return error.message;
  // A gzip stream that is none.
  if (error instanceof Error && 'code' in error && String(error.code).startsWith('Z_')) return error.message;
  return null;
};

/** The manifest, which stands before everything large. */
export const readManifest = async (
  archive: string,
  signal: AbortSignal,
): Promise<{ kind: 'read'; manifest: CheckpointManifest } | { kind: 'unusable'; why: string }> => {
  try {
    for await (const entry of readArchive(archive, { maxUnpackedBytes: CHECKPOINT_UNPACKED_MAX_BYTES, signal })) {
      if (entry.path !== ENTRIES.manifest || entry.kind !== 'file') continue;
      const parsed = CheckpointManifest.safeParse(JSON.parse((await readBody(entry, MANIFEST_MAX_BYTES)).toString()));
      if (parsed.success) return { kind: 'read', manifest: parsed.data };
      return { kind: 'unusable', why: `its manifest does not fit: ${parsed.error.issues[0]?.path.join('.') ?? ''}` };
    }
    return { kind: 'unusable', why: 'it has no manifest' };
  } catch (error) {
    if (error instanceof SyntaxError) return { kind: 'unusable', why: 'its manifest is no JSON' };
    const why = reasonOf(error);
    if (why === null) throw error;
    return { kind: 'unusable', why };
  }
};

/** What cannot be put in place before git has done its part. */
interface Staged {
  readonly gitFiles: { readonly path: string; readonly mode: number; readonly file: string }[];
  index: string | null;
  pack: string | null;
  conversationFiles: number;
  leftOut: readonly string[];
}

const save = async (path: string, body: AsyncIterable<Buffer>): Promise<string> => {
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const chunk of body) await file.writeFile(chunk);
  } finally {
    await file.close();
  }
  return path;
};

interface Targets extends Placing {
  readonly options: RestoreOptions;
  readonly conversation: InsideWriter | null;
  readonly staged: Staged;
}

const takeNamed = async ({ options, staged, work }: Targets, entry: ArchiveEntry & { kind: 'file' }): Promise<void> => {
  switch (entry.path) {
    case ENTRIES.objects:
      staged.pack = await save(join(options.folder, 'objects.pack'), entry.body);
      return;
    case ENTRIES.index:
      if (entry.sizeBytes > GIT_INDEX_MAX_BYTES) throw new TarDamaged('the index is too large');
      staged.index = await save(join(options.folder, 'index'), entry.body);
      return;
    case ENTRIES.removed:
      for (const path of splitNul(await readBody(entry, CHECKPOINT_LIST_MAX_BYTES))) {
        if (isGitFolder(path)) throw new NotWritable('git’s own folder is none of the files');
        await work.remove(path);
      }
      return;
    case ENTRIES.leftOut:
      staged.leftOut = splitNul(await readBody(entry, MANIFEST_MAX_BYTES)).map(toText);
      return;
    case ENTRIES.manifest:
      return;
    default:
      throw new TarDamaged(`an entry "${entry.path.slice(0, 60)}" does not belong into a checkpoint`);
  }
};

const take = async (targets: Targets, entry: ArchiveEntry): Promise<void> => {
  const { options, conversation, staged } = targets;
  const below = (folder: string): string | null =>
    entry.path.startsWith(folder) ? entry.path.slice(folder.length) : null;
  const path = below(ENTRIES.files);
  if (path !== null) return placeFile(targets, path, entry);
  if (entry.kind === 'link') throw new TarDamaged('a link stands among what may only be files');
  const said = below(ENTRIES.conversation);
  if (said !== null) {
    staged.conversationFiles += 1;
    return conversation?.file(said, entry.mode, entry.body);
  }
  const git = below(ENTRIES.git);
  if (git === null) return takeNamed(targets, entry);
  if (!isGitFile(git)) throw new TarDamaged(`"${git.slice(0, 60)}" is no file of git that a checkpoint carries`);
  const file = join(options.folder, `git-${staged.gitFiles.length}`);
  staged.gitFiles.push({ path: git, mode: entry.mode, file: await save(file, entry.body) });
};

const gitIn = (options: RestoreOptions) => async (what: string, args: readonly string[], stdin?: string) =>
  outputOf(
    what,
    await runGit({
      args,
      cwd: options.workspace,
      home: options.folder,
      protocols: [],
      inherited: options.inherited,
      timeoutMs: GIT_CLONE_TIMEOUT_MS,
      maxOutputBytes: CHECKPOINT_LIST_MAX_BYTES,
      signal: options.signal,
      ...(stdin === undefined ? {} : { stdin }),
    }),
  );

/**
 * What changed was told against the blobs of the base commit; where attributes made a checkout write other bytes (line ends,
 * encodings), the files are written again as they are stored.
 */
const writeExactly = async (options: RestoreOptions, baseCommit: string): Promise<void> => {
  const git = gitIn(options);
  const rules = await git('attributes', ['ls-files', '-z', '--', ':(top,glob)**/.gitattributes']);
  if (rules.length === 0) return;
  const gitFolder = join(options.workspace, '.git');
  const attributes = join(gitFolder, 'info', 'attributes');
  await mkdir(join(gitFolder, 'info'), { recursive: true });
  await writeFile(attributes, EXACT_ATTRIBUTES);
  // Without its times the index knows no file to be right already.
  await git('index', ['read-tree', '--empty']);
  await git('index', ['read-tree', baseCommit]);
  await git('files', ['checkout-index', '--all', '--force']);
  await rm(attributes);
};

/** Objects first, then what names them. The clone is ours still: its configuration is what our clone wrote. */
const restoreRefs = async (options: RestoreOptions, manifest: CheckpointManifest, staged: Staged): Promise<void> => {
  const git = gitIn(options);
  const gitFolder = join(options.workspace, '.git');
  if (staged.pack !== null) {
    // git asks for a name with a hash in it and does not compare it.
    const pack = join(gitFolder, 'objects', 'pack', `pack-${manifest.baseCommit}.pack`);
    await rename(staged.pack, pack);
    await git('new objects', ['index-pack', pack]);
  }
  const { head } = manifest;
  const known = (await git('refs', ['for-each-ref', '--format=%(refname)', 'refs/heads', STASH_REF])).toString();
  const wanted = [
    ...new Set([...manifest.refs.map(([, objectId]) => objectId), ...(head.commit ? [head.commit] : [])]),
  ];
  const found = await git('objects', ['cat-file', '--batch-check'], wanted.map((id) => `${id}\n`).join(''));
  const there = new Set([...found.toString().matchAll(/^([0-9a-f]+) (?:commit|tree|blob|tag) /gm)].map(([, id]) => id));
  if (head.commit !== null && !there.has(head.commit)) throw new GitFailed('the commit of HEAD is not in it');
  await git('HEAD', ['update-ref', '--no-deref', 'HEAD', manifest.baseCommit]);
  // A branch that stood where the remote had it may be gone there.
  const refs = manifest.refs.filter(([, objectId]) => there.has(objectId));
  const deletions = known.split('\n').filter((name) => name !== '');
  await git('old refs', ['update-ref', '-z', '--stdin'], deletions.map((name) => `delete ${name}\0\0`).join(''));
  await git('refs', ['update-ref', '-z', '--stdin'], refs.map(([name, id]) => `update ${name}\0${id}\0\0`).join(''));
  if (head.branch !== null) await git('HEAD', ['symbolic-ref', 'HEAD', `refs/heads/${head.branch}`]);
  else if (head.commit !== null) await git('HEAD', ['update-ref', '--no-deref', 'HEAD', head.commit]);
  if (staged.index !== null) await rename(staged.index, join(gitFolder, 'index'));
  else await git('index', head.commit === null ? ['read-tree', '--empty'] : ['read-tree', head.commit]);
};

/** Last, since from here on the agent's configuration is in the clone and no git of ours may read it. */
const placeGitFiles = async (options: RestoreOptions, staged: Staged): Promise<void> => {
  const writer = insideWriter(fromText(join(options.workspace, '.git')));
  for (const { path, mode, file } of staged.gitFiles) await writer.file(path, mode, createReadStream(file));
};

const restoreIn = async (options: RestoreOptions, manifest: CheckpointManifest): Promise<RestoreResult> => {
  const { conversations } = options;
  if (conversations !== null) await mkdir(conversations, { recursive: true, mode: 0o700 });
  const staged: Staged = { gitFiles: [], index: null, pack: null, conversationFiles: 0, leftOut: [] };
  const targets: Targets = {
    options,
    work: insideWriter(fromText(options.workspace)),
    from: fromText(manifest.workspace),
    root: fromText(options.workspace),
    conversation: conversations === null ? null : insideWriter(fromText(conversations)),
    staged,
  };
  await writeExactly(options, manifest.baseCommit);
  const { archive, signal } = options;
  for await (const entry of readArchive(archive, { maxUnpackedBytes: CHECKPOINT_UNPACKED_MAX_BYTES, signal }))
    await take(targets, entry);
  await restoreRefs(options, manifest, staged);
  await placeGitFiles(options, staged);
  return { kind: 'restored', conversationFiles: staged.conversationFiles, leftOut: staged.leftOut };
};

/** `folder` is empty again afterwards. Throws what the disk throws. */
export const restoreCheckpoint = async (
  options: RestoreOptions,
  manifest: CheckpointManifest,
): Promise<RestoreResult> => {
  await mkdir(options.folder, { recursive: true, mode: 0o700 });
  try {
    return await restoreIn(options, manifest);
  } catch (error) {
    const why = reasonOf(error);
    if (why === null) throw error;
    return { kind: 'unusable', why };
  } finally {
    await rm(options.folder, { recursive: true, force: true });
  }
};
