import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { claudeBefore, claudeConversations } from '../../../../runner-image/src/adapters/claude-code/conversations.ts';
import { NEW_CLAUDE } from '../../../../runner-image/src/adapters/claude-code/saved.ts';

const ID = '01234567-89ab-4def-8123-456789abcdef';
let privateDir = '';
beforeAll(() => {
  privateDir = mkdtempSync(join(tmpdir(), 'conversations-'));
});
afterAll(() => rmSync(privateDir, { recursive: true, force: true }));

describe('the conversations of Claude Code', () => {
  it('lie in a folder named after the workspace, as the CLI names it', () => {
    const at = { privateDir: '/private', workspace: '/a/village.b/work spaces/ses_01J' };
    expect(claudeConversations.folder(at)).toBe('/private/home/.claude/projects/-a-village-b-work-spaces-ses-01J');
  });

  it.each([
    ['the one that is followed', `/x/${ID}.jsonl`, ID],
    ['none yet', null, null],
    ['an option in the place of an id', '/x/--dangerously-skip-permissions.jsonl', null],
    ['a way out', `/x/../${ID}/../../etc.jsonl`, null],
  ])('tell %s', (_what, file, expected) => {
    const saved = { ...NEW_CLAUDE, transcript: { ...NEW_CLAUDE.transcript, file } };
    expect(claudeConversations.current(saved)).toBe(expected);
    expect(claudeConversations.current({ anything: 'else' })).toBeNull();
  });

  it('know the prompts that another life of the CLI would not', () => {
    const waiting = [
      { prompt: 'first', atMs: 1 },
      { prompt: 'then', atMs: 2 },
    ];
    const saved = { ...NEW_CLAUDE, turns: { ...NEW_CLAUDE.turns, waiting } };
    expect(claudeConversations.waiting(saved)).toEqual(['first', 'then']);
    expect(claudeConversations.waiting({ anything: 'else' })).toEqual([]);
  });

  it('are gone on with behind what was said and counted', async () => {
    const at = { privateDir, workspace: '/w' };
    expect(await claudeConversations.exists(at, ID)).toBe(false);
    mkdirSync(claudeConversations.folder(at), { recursive: true });
    const file = join(claudeConversations.folder(at), `${ID}.jsonl`);
    writeFileSync(file, 'said\n');
    expect(await claudeConversations.exists(at, ID)).toBe(true);
    const config = { file: '', cliVersion: '', path: '', ...at, cliInstanceId: ID };
    expect(await claudeBefore(config)).toEqual({});
    expect(await claudeBefore({ ...config, before: { turnsDone: 3, hasConversation: true } })).toMatchObject({
      turns: { started: 3, done: 3 },
      transcript: { file, offset: 5 },
    });
    expect(await claudeBefore({ ...config, before: { turnsDone: 3, hasConversation: false } })).toEqual({
      turns: { started: 3, done: 3, open: null, waiting: [] },
    });
  });
});
