/** What preparing a workspace came to, as tests ask for it. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkspaceRequest, WorkspaceResult } from '../../runner-image/src/workspace/prepare-workspace.ts';

export const request = (url: string, more: Partial<WorkspaceRequest> = {}): WorkspaceRequest => ({
  sessionId: 's1',
  tenantId: 't1',
  url,
  ...more,
});

export const ready = (result: WorkspaceResult) => {
  if (result.kind !== 'ready') throw new Error(`${result.code}: ${result.message}`);
  return result;
};

export const failed = (result: WorkspaceResult) => {
  if (result.kind !== 'failed') throw new Error('expected a failure');
  return result;
};

export const leftOver = (root: string) =>
  existsSync(join(root, 'workspaces')) ? readdirSync(join(root, 'workspaces')) : [];
