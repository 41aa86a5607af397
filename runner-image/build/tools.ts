/** Which container tools are here: without them images are neither built nor run, and that is said, not failed. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** runc, because Debian's crun fails where cgroups are of version 1. */
export const BUILD_TOOLS = ['buildah'] as const;
export const STAND_IN_TOOLS = ['mmdebstrap', 'npm', 'tar'] as const;
export const RUN_TOOLS = ['podman', 'runc'] as const;

const isExecutable = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false; // Not in this folder.
  }
};

/** runc lies here, which a plain user's PATH leaves out; podman looks here by itself. */
export const SYSTEM_FOLDERS = '/usr/local/sbin:/usr/sbin:/sbin';

/** Those of `tools` that no folder of `path` (as in PATH) holds. */
export const missingTools = (tools: readonly string[], path: string): string[] => {
  const folders = path.split(delimiter).filter((folder) => folder !== '');
  return tools.filter((tool) => !folders.some((folder) => isExecutable(join(folder, tool))));
};

/** One line for people, with what to do. */
export const skippedLine = (missing: readonly string[]): string =>
  `skipped: ${missing.join(', ')} not found; on Debian: apt-get install buildah podman runc mmdebstrap`;
