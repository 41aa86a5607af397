/** `<data-dir>/endpoint.json`: how the command line finds a running village and is let in. */
import { renameSync, rmSync, writeFileSync } from 'node:fs';

/** Readable by its owner only; there in one piece or not at all. */
export const writeEndpointFile = (path: string, endpoint: { url: string; token: string }): void => {
  writeFileSync(`${path}.new`, `${JSON.stringify(endpoint)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
};

export const removeEndpointFile = (path: string): void => rmSync(path, { force: true });
