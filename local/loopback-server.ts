/** Every HTTP server of the local platform listens on loopback and nowhere else, and ends without waiting for idle clients. */
import type { Server } from 'node:http';

const HOST = '127.0.0.1';

/**
 * @param port 0 for any that is free
 * @returns the port; rejects as `listen` does (EADDRINUSE, EACCES)
 */
export const listenOnLoopback = (server: Server, port = 0): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, HOST, () => {
      server.off('error', reject);
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new Error('a TCP server has no port'));
      else resolve(address.port);
    });
  });

/** Stops listening and cuts what is connected; resolves when both are done, also for a server that never listened. */
export const closeServer = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
