/** Programs that pty-host still runs when a runner process begins: nobody would ever end, hold or watch those whose session is not here. */
import type { Log } from '../log.ts';
import type { ListedProcess, PtyHost } from '../pty-host/client.ts';
import { endProgram } from '../session/pty-programs.ts';

/**
 * `held`: its session is here and cares for it. `waits`: its session cannot be taken up yet, so nobody watches its lease: it stands still.
 * `stray`: no session will ever ask for it.
 */
export type ProgramFate = 'held' | 'waits' | 'stray';

/** Gives each program its due, asked for right before. One that fails does not keep the others waiting. Never rejects. */
export const settlePrograms = async (
  host: PtyHost,
  fateOf: (ptyId: string) => ProgramFate,
  log: Log,
): Promise<void> => {
  const settle = async (listed: ListedProcess): Promise<void> => {
    const { id, ackedOffset, frozen, exited } = listed;
    const fate = fateOf(id);
    if (fate === 'stray') {
      log.warn('a program without a session is ended', { id });
      await endProgram(host, listed);
    } else if (fate === 'waits' && !frozen && !exited) {
      log.warn('a program is held until its session can be taken up', { id });
      await (await host.adopt(id, ackedOffset)).freeze();
    }
  };
  try {
    for (const listed of await host.list())
      await settle(listed).catch((error: unknown) =>
        log.error('a program could not be ended or held', { id: listed.id, error }),
      );
  } catch (error) {
    log.error('the programs of pty-host cannot be listed', { error });
  }
};
