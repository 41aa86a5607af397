/** Where Claude Code keeps a conversation, and how one goes on that another life of it led (measured with 2.1.330: `--resume` keeps its id). */
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import type { Conversations, StartConfig } from '../contract.ts';
import { SavedClaude } from './saved.ts';
import { NO_TRANSCRIPT } from './transcript-reader.ts';
import { NO_TURNS } from './turns.ts';

export const homeOf = ({ privateDir }: Pick<StartConfig, 'privateDir'>): string => join(privateDir, 'home');

const EXTENSION = '.jsonl';

/** The CLI names the folder after the workspace, each character but letters and digits as `-`. */
const folderOf = (at: Pick<StartConfig, 'privateDir' | 'workspace'>): string =>
  join(homeOf(at), '.claude', 'projects', at.workspace.replace(/[^A-Za-z0-9]/g, '-'));

const fileOf = (at: Pick<StartConfig, 'privateDir' | 'workspace'>, id: string): string =>
  join(folderOf(at), `${id}${EXTENSION}`);

export const claudeConversations: Conversations = {
  folder: folderOf,
  exists: (at, id) =>
    stat(fileOf(at, id)).then(
      (stats) => stats.isFile() && stats.size > 0,
      () => false,
    ),
  current(saved) {
    // `/clear` begins another one: the transcript that is followed tells which.
    const file = SavedClaude.safeParse(saved).data?.transcript.file ?? '';
    return z.uuid().safeParse(basename(file, EXTENSION)).data ?? null;
  },
  waiting: (saved) => SavedClaude.safeParse(saved).data?.turns.waiting.map(({ prompt }) => prompt) ?? [],
};

/** What a CLI that goes on has behind it already: its turns are counted on, and its old words are not told again. */
export const claudeBefore = async (config: StartConfig): Promise<Partial<SavedClaude>> => {
  const { before, cliInstanceId } = config;
  if (before === undefined) return {};
  const turns = { ...NO_TURNS, started: before.turnsDone, done: before.turnsDone };
  if (!before.hasConversation) return { turns };
  const file = fileOf(config, cliInstanceId);
  const { size: offset } = await stat(file);
  return { turns, transcript: { ...NO_TRANSCRIPT, file, offset } };
};
