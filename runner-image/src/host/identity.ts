/**
 * Who the runner of a state folder is, so that a later start goes on without a token, and so that neither a credential nor a journal
 * is ever used for another runner or another village.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { RunnerId, TenantId } from '../../../shared/ids.ts';
import { parseRunnerCredential } from '../../../shared/runner-credential.ts';
import { storedCredential } from '../transport/dial-store.ts';
import { type Disk, realDisk } from '../transport/disk.ts';

const Identity = z.strictObject({ v: z.literal(1), url: z.url(), tenantId: TenantId, runnerId: RunnerId });
type Identity = z.infer<typeof Identity>;

export const dialFile = (state: string): string => join(state, 'dial.json');
const identityFile = (state: string): string => join(state, 'runner.json');

/** `undefined` where no runner has started yet. Throws when the file is damaged. */
const readIdentity = (state: string, disk: Disk): Identity | undefined => {
  const text = disk.read(identityFile(state));
  return text === undefined ? undefined : Identity.parse(JSON.parse(text));
};

export interface Asked {
  readonly url: string | undefined;
  readonly token: string | undefined;
  readonly state: string;
}

export type Identified =
  | { readonly kind: 'ok'; readonly url: string; readonly token: string }
  | { readonly kind: 'refused'; readonly message: string };

const refused = (message: string): Identified => ({ kind: 'refused', message });

/** Address and credential of a start: as asked, or as kept by the start before. Reads only. */
export const identify = ({ url, token, state }: Asked, disk: Disk = realDisk): Identified => {
  if (token !== undefined)
    return url === undefined
      ? refused('--url is needed with --token: copy the whole command that was printed')
      : { kind: 'ok', url, token };
  const known = readIdentity(state, disk);
  const kept = storedCredential(dialFile(state), disk);
  if (known === undefined || kept === undefined)
    return refused(
      `${state} keeps no credential: start once with --url and --token, as village runners register prints them`,
    );
  if (url !== undefined && new URL(url).origin !== new URL(known.url).origin)
    return refused(`${state} keeps a credential of ${known.url}: leave --url out, or name another folder with --state`);
  return { kind: 'ok', url: known.url, token: kept };
};

export type Claimed = { readonly kind: 'ok' } | { readonly kind: 'refused'; readonly message: string };

/**
 * Makes the folder this runner's, before anything in it is used. Another runner's credential gives way to a new registration, unless
 * sessions of that runner still lie there.
 */
export const claimState = (asked: { url: string; token: string; state: string }, disk: Disk = realDisk): Claimed => {
  const { url, token, state } = asked;
  const principal = parseRunnerCredential(token)?.principal;
  if (principal?.kind !== 'group') throw new Error('only a registered runner keeps its state');
  const { tenantId, runnerId } = principal;
  const known = readIdentity(state, disk);
  const isSame = known === undefined || (known.tenantId === tenantId && known.runnerId === runnerId);
  if (!isSame) {
    const sessions = join(state, 'sessions');
    if (existsSync(sessions) && readdirSync(sessions).length > 0)
      return {
        kind: 'refused',
        message: `${state} holds sessions of the runner ${known.runnerId}: start that one without --token, or name another folder with --state`,
      };
    disk.remove(dialFile(state));
  }
  disk.replace(identityFile(state), JSON.stringify({ v: 1, url, tenantId, runnerId } satisfies Identity), true);
  return { kind: 'ok' };
};
