/** Where a runner keeps what it must find again of each session it holds: `<state>/sessions/<sessionId>/`, gone when the session is. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SessionId } from '../../../shared/ids.ts';
import type { Log } from '../log.ts';
import { loadSession, type SavedSession } from '../session/saved-session.ts';
import { removeTree } from '../workspace/cleanup.ts';

export type FoundSession =
  | { readonly kind: 'saved'; readonly sessionId: string; readonly saved: SavedSession }
  /** Nothing can be taken up from it, ever: its programs must end. */
  | { readonly kind: 'damaged'; readonly sessionId: string; readonly error: unknown }
  /** The system did not let it be read: what it says is as good as before. */
  | { readonly kind: 'unreadable'; readonly sessionId: string; readonly error: Error };

export interface SessionFoldersOptions {
  readonly stateDir: string;
  readonly log: Log;
  /** Empties and removes a folder, or throws. */
  readonly empty?: (path: string) => void;
}

const emptyNow = (path: string): void => rmSync(path, { recursive: true, force: true });
/** Too many files are open, the disk does not answer: nothing of what lies there. */
const isOfSystem = (error: unknown): error is Error => error instanceof Error && 'syscall' in error;
const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder).sort() : []);

export class SessionFolders {
  readonly #options: SessionFoldersOptions;
  readonly #sessions: string;
  /** Of folders that could not be emptied: they are no sessions any more. */
  readonly #removed: string;
  /** Folders that could not even be moved away: their sessions are over all the same. */
  readonly #stuck = new Set<string>();

  constructor(options: SessionFoldersOptions) {
    this.#options = options;
    this.#sessions = join(options.stateDir, 'sessions');
    this.#removed = join(options.stateDir, 'removed');
    try {
      // Now, as a full disk has no room for it later: what is removed then is what makes room.
      mkdirSync(this.#removed, { recursive: true, mode: 0o700 });
    } catch (error) {
      options.log.warn('there is no folder for what cannot be removed at once', { error });
    }
  }

  of(sessionId: string): string {
    return join(this.#sessions, sessionId);
  }

  /** Throws where there can be none. */
  make(sessionId: string): void {
    // What an earlier epoch left would be read as this one's.
    if (!this.remove(sessionId)) throw new Error('the folder of its earlier epoch cannot be removed');
    mkdirSync(this.of(sessionId), { recursive: true, mode: 0o700 });
  }

  /**
   * Never throws: what holds files that cannot be removed (EACCES under a folder that the agent made read-only, ENOTEMPTY beside one that
   * still writes) is moved out of the way, and `sweep` tries again. @returns false when it is still in its place
   */
  remove(sessionId: string): boolean {
    const { log, empty = emptyNow } = this.#options;
    const folder = this.of(sessionId);
    const out = join(this.#removed, `${sessionId}-${randomUUID()}`);
    try {
      if (existsSync(folder)) {
        mkdirSync(this.#removed, { recursive: true, mode: 0o700 });
        renameSync(folder, out);
      }
      this.#stuck.delete(sessionId);
    } catch (error) {
      // On a full disk what lies in it can go even where the folder cannot.
      if (this.#emptied(folder)) {
        this.#stuck.delete(sessionId);
        return true;
      }
      this.#stuck.add(sessionId);
      log.error('the state of a session that is over cannot be moved away yet', { sessionId, error });
      return false;
    }
    try {
      empty(out);
    } catch (error) {
      log.warn('the state of a session that is over cannot be removed yet', { sessionId, error });
    }
    return true;
  }

  /** Where it lies. @returns whether nothing of it is left */
  #emptied(folder: string): boolean {
    const { log, empty = emptyNow } = this.#options;
    try {
      empty(folder);
      return true;
    } catch (error) {
      log.warn('the state of a session that is over cannot be removed where it lies', { error });
      return false;
    }
  }

  /** Tries again what could not be removed. Never rejects. */
  async sweep(): Promise<void> {
    for (const sessionId of this.#stuck) this.remove(sessionId);
    for (const name of namesIn(this.#removed))
      await removeTree(join(this.#removed, name)).catch((error: unknown) =>
        this.#options.log.warn('the state of a session that is over still cannot be removed', { name, error }),
      );
  }

  /** All of it, for good; what stays in spite of that is of no use to anybody. Never throws. */
  removeAll(): void {
    const { log, stateDir, empty = emptyNow } = this.#options;
    try {
      empty(stateDir);
    } catch (error) {
      log.warn('the state of this runner cannot be removed', { error });
    }
  }

  /** Whether events stand in the folder that were not acknowledged: a delivered journal is removed. */
  hasJournal(sessionId: string): boolean {
    return existsSync(join(this.of(sessionId), 'journal'));
  }

  /** What the runner process before this one held, and what could not be delivered yet; those that are `known` are not read. */
  find(known: (sessionId: string) => boolean = () => false): FoundSession[] {
    return namesIn(this.#sessions).flatMap((sessionId): FoundSession[] => {
      if (!SessionId.safeParse(sessionId).success || this.#stuck.has(sessionId) || known(sessionId)) return [];
      try {
        const saved = loadSession(join(this.of(sessionId), 'session.json'));
        if (saved?.sessionId === sessionId) return [{ kind: 'saved', sessionId, saved }];
        return [{ kind: 'damaged', sessionId, error: new Error('no session was saved in its folder') }];
      } catch (error) {
        return [isOfSystem(error) ? { kind: 'unreadable', sessionId, error } : { kind: 'damaged', sessionId, error }];
      }
    });
  }
}
