/** The coding CLIs a person has installed: the first of each name in PATH. */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';

/** Variable of the runner's configuration by name of the program. */
const PROGRAMS = { claude: 'CLAUDE_CODE_PATH', codex: 'CODEX_PATH', gemini: 'GEMINI_PATH' } as const;

const isProgram = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    // Not there, or not ours to run.
    return false;
  }
};

/** @returns the runner's variables for what is there; relative parts of PATH are left out, since they mean another place elsewhere */
export const findClis = (path: string): Record<string, string> => {
  const folders = path.split(delimiter).filter(isAbsolute);
  return Object.fromEntries(
    Object.entries(PROGRAMS).flatMap(([program, variable]) => {
      const file = folders.map((folder) => join(folder, program)).find(isProgram);
      return file === undefined ? [] : [[variable, file]];
    }),
  );
};
