/** The folders of sessions on a disk that has no room left: removing is what makes room, and needs none itself. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../../runner-image/src/log.ts';
import { SessionFolders } from '../../../../runner-image/src/runner/session-folders.ts';

const SESSION = 'ses_01J0000000000000000000000A';
let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'folders-'));
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

const open = (empty?: (path: string) => void) => {
  const folders = new SessionFolders({ stateDir, log: silentLog, ...(empty ? { empty } : {}) });
  folders.make(SESSION);
  writeFileSync(join(folders.of(SESSION), 'spool'), 'x');
  return folders;
};
/** As on a full disk: there is no room for another name. */
const takePlace = () => {
  rmSync(join(stateDir, 'removed'), { recursive: true, force: true });
  writeFileSync(join(stateDir, 'removed'), '');
};

describe('the folder of a session that is over', () => {
  it('has a place to be moved to before the disk is full', () => {
    open();
    expect(existsSync(join(stateDir, 'removed'))).toBe(true);
  });

  it('is emptied where it lies when it cannot be moved', () => {
    const folders = open();
    takePlace();
    expect(folders.remove(SESSION)).toBe(true);
    expect(existsSync(folders.of(SESSION))).toBe(false);
    expect(folders.find()).toEqual([]);
  });

  it('is no session any more when it can be neither, and is tried again', async () => {
    let refuses = true;
    const folders = open((path) => {
      if (refuses) throw new Error('EACCES');
      rmSync(path, { recursive: true });
    });
    takePlace();
    expect([folders.remove(SESSION), folders.find()]).toEqual([false, []]);
    expect(existsSync(folders.of(SESSION))).toBe(true);
    refuses = false;
    rmSync(join(stateDir, 'removed'));
    await folders.sweep();
    expect(existsSync(folders.of(SESSION))).toBe(false);
    folders.make(SESSION);
  });
});
