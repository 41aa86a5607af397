/** Health check of the container: asks pty-host, the first process, over its own socket; a new runner process needs no answer yet. */
import { globSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectPtyHost } from '../src/pty-host/client.ts';

/** The container's own time-out is longer: this one says why. */
const ANSWER_TIMEOUT_MS = 8_000;

const answers = async (socketPath: string): Promise<boolean> => {
  try {
    const host = await connectPtyHost(socketPath);
    await host.list();
    host.close();
    return true;
  } catch {
    return false; // A socket left by an earlier life of this container: another one may answer.
  }
};

const isHealthy = async (): Promise<boolean> => {
  for (const socketPath of globSync(join(tmpdir(), 'village-pty-*', 'pty.sock')))
    if (await answers(socketPath)) return true;
  return false;
};

setTimeout(() => {
  console.error('pty-host does not answer');
  process.exit(1);
}, ANSWER_TIMEOUT_MS).unref();

if (!(await isHealthy())) {
  console.error('no pty-host listens');
  process.exitCode = 1;
}
