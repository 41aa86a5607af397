/** What lies on the disk from an earlier runner process, or from an earlier line: taken up as soon as that can be done, with its programs. */
import type { Log } from '../log.ts';
import type { PtyHost } from '../pty-host/client.ts';
import type { SavedSession } from '../session/saved-session.ts';
import type { SessionFolders } from './session-folders.ts';
import { settlePrograms } from './stray-programs.ts';
import { StuckSessions } from './stuck-sessions.ts';

export interface EarlierSessionsOptions {
  readonly folders: SessionFolders;
  readonly ports: { readonly host: PtyHost; readonly log: Log; readonly bootMs: () => number };
  /** Tries again what cannot be taken up; otherwise that is thrown, since the whole process is started again. */
  readonly retries: boolean;
  readonly isHeld: (sessionId: string) => boolean;
  readonly holdsProgram: (ptyId: string) => boolean;
  /** Holds it again. Throws where that cannot be done now, and leaves nothing of the try. */
  readonly resume: (saved: SavedSession) => void;
}

export class EarlierSessions {
  readonly #options: EarlierSessionsOptions;
  readonly #stuck: StuckSessions;
  #isSettling = false;

  constructor(options: EarlierSessionsOptions) {
    this.#options = options;
    this.#stuck = new StuckSessions(options.ports.bootMs);
  }

  /** Sessions that cannot be taken up yet. */
  get stuck(): number {
    return this.#stuck.size;
  }

  isStuck(sessionId: string): boolean {
    return this.#stuck.has(sessionId);
  }

  /** Nothing waits on the disk that is not held. */
  get areAllHeld(): boolean {
    const { folders, isHeld } = this.#options;
    // Every hello asks this: what is held need not be read for it.
    return folders.find(isHeld).every(({ kind }) => kind === 'damaged');
  }

  /** Takes up what an earlier process held, or what could not be delivered on an earlier line. What is stuck waits for `settle`. */
  takeUp(): void {
    const { folders, ports, retries, isHeld } = this.#options;
    for (const found of folders.find(isHeld)) {
      const { sessionId } = found;
      if (isHeld(sessionId) || this.#stuck.has(sessionId)) continue;
      if (found.kind === 'saved') this.#resume(found.saved);
      else if (found.kind === 'damaged') {
        ports.log.error('a saved session cannot be read', { sessionId, error: found.error });
        folders.remove(sessionId);
      } else if (retries) this.#retryLater(sessionId, null, found.error);
      else throw found.error;
    }
  }

  /**
   * Ends programs that no session asks for any more, holds those whose session is stuck, and tries to take these up again. Never rejects.
   * A second call while the first is at it does nothing.
   */
  async settle(): Promise<void> {
    if (this.#isSettling) return;
    this.#isSettling = true;
    const { ports, holdsProgram } = this.#options;
    await settlePrograms(ports.host, (id) => (holdsProgram(id) ? 'held' : this.#stuck.fateOf(id)), ports.log);
    try {
      this.#stuck.retry(() => this.takeUp());
    } catch (error) {
      ports.log.error('what lies on the disk cannot be looked through yet', { error });
    }
    this.#isSettling = false;
  }

  #resume(saved: SavedSession): void {
    try {
      this.#options.resume(saved);
    } catch (error) {
      if (!this.#options.retries) throw error;
      this.#retryLater(saved.sessionId, saved, error);
    }
  }

  #retryLater(sessionId: string, saved: SavedSession | null, error: unknown): void {
    if (this.#stuck.add(sessionId, saved))
      this.#options.ports.log.error('a session cannot be taken up yet', { sessionId, error });
  }
}
