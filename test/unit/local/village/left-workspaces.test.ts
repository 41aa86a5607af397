import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { removeLeftWorkspaces } from '../../../../local/village/left-workspaces.ts';

const NOW_MS = 1_800_000_000_000;
let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'left-workspaces-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const session = (sessionId: string, lease: object | string | null): void => {
  for (const folder of ['workspaces', 'scratch']) {
    mkdirSync(join(root, folder, sessionId), { recursive: true });
    writeFileSync(join(root, folder, sessionId, 'file'), 'x');
  }
  mkdirSync(join(root, 'leases'), { recursive: true });
  if (lease === null) return;
  writeFileSync(
    join(root, 'leases', `${sessionId}.json`),
    typeof lease === 'string' ? lease : JSON.stringify({ v: 1, sessionId, runnerId: 'r', ...lease }),
  );
};
const isThere = (sessionId: string): boolean =>
  ['workspaces', 'scratch'].every((folder) => existsSync(join(root, folder, sessionId)));

it('removes what the village’s own tasks left, and leaves what another runner holds', async () => {
  mkdirSync(join(root, 'mirrors/kept.git'), { recursive: true });
  session('ses_task', { renewedAtMs: NOW_MS, pool: 'hosted' });
  session('ses_old', { renewedAtMs: NOW_MS });
  session('ses_bare', null);
  session('ses_broken', '{');
  session('ses_expired', { renewedAtMs: NOW_MS - 90_001, pool: 'mine' });
  session('ses_held', { renewedAtMs: NOW_MS - 90_000, pool: 'mine' });
  const warnings: string[] = [];
  await removeLeftWorkspaces(root, NOW_MS, (line) => warnings.push(line));
  const all = ['ses_task', 'ses_old', 'ses_bare', 'ses_broken', 'ses_expired', 'ses_held'];
  expect(all.filter(isThere)).toEqual(['ses_held']);
  expect(existsSync(join(root, 'leases/ses_held.json'))).toBe(true);
  expect(existsSync(join(root, 'leases/ses_task.json'))).toBe(false);
  expect(existsSync(join(root, 'mirrors/kept.git'))).toBe(true);
  expect(warnings).toEqual([]);
});

it('does nothing in a root that does not exist', async () => {
  await removeLeftWorkspaces(join(root, 'none'), NOW_MS, (line) => expect(line).toBe(''));
});
