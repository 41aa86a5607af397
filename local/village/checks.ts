/** What must hold before anything is started, so that nothing is half started. */
import { createServer } from 'node:net';
import { VillageError } from './village-error.ts';

const NODE_MAJOR_MIN = 24;

/** Throws VillageError on a Node that is too old. */
export const requireNode = (version: string): void => {
  if (Number(version.split('.')[0]) < NODE_MAJOR_MIN)
    throw new VillageError(
      `Node ${version} is too old, ${NODE_MAJOR_MIN} is needed: run npm ci, which installs it into this folder, then npm start.`,
    );
};

/** Throws VillageError when somebody listens there; 0 is always free. */
export const requireFreePort = (port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be used (${error.code})`;
      reject(new VillageError(`Port ${port} ${why}: choose another with --port, or stop that program.`));
    });
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve()));
  });
