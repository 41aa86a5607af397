/** Makes a state folder one runner's at a time: two with one credential would lock each other out, and share journals. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { STATE_LOCK_WAIT_MS } from '../../../shared/limits.ts';
import type { RunnerConfig } from '../config.ts';
import { inheritedVariables } from '../workspace/git-environment.ts';
import { lockMirror } from '../workspace/mirror-lock.ts';
import { type Claimed, claimState } from './identity.ts';

/** Held until this process ends, however it ends. Only a runner that stays has a folder that another start may find. */
export const takeState = async (
  config: RunnerConfig,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Claimed> => {
  if (config.principal.kind !== 'group') return { kind: 'ok' };
  const state = config.VILLAGE_STATE_DIR;
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const lock = await lockMirror({
    ...{ path: join(state, 'lock'), timeoutMs: STATE_LOCK_WAIT_MS, inherited: inheritedVariables(env) },
  });
  if (lock.kind !== 'locked') {
    const message = `another runner uses ${state}: stop it, or name another folder with --state (VILLAGE_STATE_DIR)`;
    return { kind: 'refused', message };
  }
  return claimState({ url: config.CONTROL_PLANE_URL, token: config.CONTROL_PLANE_TOKEN, state });
};
