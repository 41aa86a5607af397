/** Where a runner keeps what it must find again of each session it holds: `<state>/sessions/<sessionId>/`, gone when the session is. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SessionId } from '../../../shared/ids.ts';
import { loadSession, type SavedSession } from '../session/saved-session.ts';

const sessionsFolder = (stateDir: string): string => join(stateDir, 'sessions');

export const sessionFolder = (stateDir: string, sessionId: string): string => join(sessionsFolder(stateDir), sessionId);

export const makeSessionFolder = (stateDir: string, sessionId: string): string => {
  const folder = sessionFolder(stateDir, sessionId);
  // What an earlier epoch left would be read as this one's.
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
};

export const removeSessionFolder = (stateDir: string, sessionId: string): void =>
  rmSync(sessionFolder(stateDir, sessionId), { recursive: true, force: true });

/** Whether events stand in the folder that were not acknowledged: a delivered journal is removed. */
export const hasJournal = (stateDir: string, sessionId: string): boolean =>
  existsSync(join(sessionFolder(stateDir, sessionId), 'journal'));

export type FoundSession =
  | { readonly kind: 'saved'; readonly saved: SavedSession }
  /** Nothing can be taken up from it: its programs must end. */
  | { readonly kind: 'damaged'; readonly sessionId: string; readonly error: unknown };

const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder).sort() : []);

/** What the runner process before this one held. */
export const findSessions = (stateDir: string): FoundSession[] =>
  namesIn(sessionsFolder(stateDir)).flatMap((sessionId): FoundSession[] => {
    if (!SessionId.safeParse(sessionId).success) return [];
    try {
      const saved = loadSession(join(sessionFolder(stateDir, sessionId), 'session.json'));
      if (saved?.sessionId === sessionId) return [{ kind: 'saved', saved }];
      return [{ kind: 'damaged', sessionId, error: new Error('no session was saved in its folder') }];
    } catch (error) {
      return [{ kind: 'damaged', sessionId, error }];
    }
  });
