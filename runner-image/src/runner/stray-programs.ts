/** Ends programs that pty-host still runs for sessions this runner knows nothing of any more: nobody would ever end them. */
import type { Log } from '../log.ts';
import type { PtyHost } from '../pty-host/client.ts';

/** Never rejects: what stays is ended by pty-host's own end. */
export const endStrayPrograms = async (host: PtyHost, isHeld: (ptyId: string) => boolean, log: Log): Promise<void> => {
  try {
    for (const { id, ackedOffset } of await host.list()) {
      if (isHeld(id)) continue;
      log.warn('a program without a session is ended', { id });
      const stray = await host.adopt(id, ackedOffset);
      stray.onData((bytes, rawOffset) => stray.ack(rawOffset + bytes.length));
      await stray.kill();
      await stray.exited;
      await stray.release();
    }
  } catch (error) {
    log.error('programs without a session could not be ended', { error });
  }
};
