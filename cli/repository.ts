/** What `--repo` may be on a command line: an address, or a folder of this machine, which is made absolute. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

/** Leaves addresses alone; anything that is a folder here, or looks like a path, becomes an absolute one. */
export const repositoryAddress = (text: string, cwd: string): string => {
  if (/^[a-z+]+:\/\//i.test(text)) return text;
  const isScpLike = /^[\w.-]+@[\w.-]+:/.test(text) && !existsSync(resolve(cwd, text));
  return isScpLike ? text : resolve(cwd, text);
};
