/** Folders of sessions that a killed runner could not remove: no session outlives its village, so none of them belongs to anybody. */
import { chmod, opendir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** What the runner keeps per session under WORKSPACE_ROOT; the mirrors of repositories stay. */
const SESSION_FOLDERS = ['workspaces', 'scratch', 'leases'];
const FOLDER_MODE = 0o700;

/** Folders without write permission refuse to be emptied (Go's module cache); links are never followed. */
const makeFoldersWritable = async (folder: string): Promise<void> => {
  await chmod(folder, FOLDER_MODE);
  for await (const entry of await opendir(folder))
    if (entry.isDirectory()) await makeFoldersWritable(join(folder, entry.name));
};

/** Only while no task runs. What cannot be removed is told to `warn` and stays: it must not keep the village from starting. */
export const removeLeftWorkspaces = async (workspaceRoot: string, warn: (line: string) => void): Promise<void> => {
  for (const name of SESSION_FOLDERS) {
    const folder = join(workspaceRoot, name);
    const remove = (): Promise<void> => rm(folder, { recursive: true, force: true, maxRetries: 3 });
    await remove()
      .catch(() => makeFoldersWritable(folder).then(remove))
      .catch((error: unknown) =>
        warn(`${folder} cannot be removed: ${error instanceof Error ? error.message : error}`),
      );
  }
};
