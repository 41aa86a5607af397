/** Programs in pty-host by the session they belong to: they outlive runner processes, and must not outlive their epoch. */
import type { Log } from '../log.ts';
import type { ListedProcess, PtyHost } from '../pty-host/client.ts';
import { PtyError } from '../pty-host/messages.ts';

export const ptyIdOf = ({ sessionId, epoch }: { readonly sessionId: string; readonly epoch: number }): string =>
  `${sessionId}#${epoch}`;
export const sessionOfPty = (ptyId: string): string => ptyId.slice(0, Math.max(0, ptyId.indexOf('#')));

/** Kills one with all its processes and forgets it. Rejects when something of it stays. */
export const endProgram = async (
  host: PtyHost,
  { id, ackedOffset }: Pick<ListedProcess, 'id' | 'ackedOffset'>,
): Promise<void> => {
  const program = await host.adopt(id, ackedOffset);
  // Unread output would keep its end from being told.
  program.onData((bytes, rawOffset) => program.ack(rawOffset + bytes.length));
  await program.kill();
  await program.exited;
  await program.release();
};

/** Ends what an earlier epoch of the session left running here: nothing else may work in its folder. Rejects when one stays. */
export const endProgramsOf = async (host: PtyHost, sessionId: string, log: Log): Promise<void> => {
  for (const listed of await host.list()) {
    if (sessionOfPty(listed.id) !== sessionId) continue;
    log.warn('a program of an earlier epoch is ended', { id: listed.id });
    await endProgram(host, listed).catch((error: unknown) => {
      // Somebody else has just ended it.
      if (!(error instanceof PtyError && error.code === 'unknown_process')) throw error;
    });
  }
};
