/** Registers a customer-hosted runner: a row in the tenant's list, and a token that works once and is printed as one command. */
import type { Clock } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import type { RegisterRunnerBody, RunnerRegistered } from '../../shared/http.ts';
import {
  RUNNER_GONE_SHOWN_MS,
  RUNNER_REGISTRATION_TTL_MS,
  RUNNER_SESSIONS_DEFAULT,
  RUNNERS_PER_TENANT_MAX,
} from '../../shared/limits.ts';
import type { Database } from '../database.ts';
import { sha256Hex } from '../hash.ts';
import { idempotencyPut, type TenantStore } from '../tenants/tenant-store.ts';
import { forgetRunners } from './forget-runners.ts';
import { type Host, hostKey, hostOf, hostRows, isCounted, readHost } from './host-store.ts';
import { deriveRunnerToken, runnerCredentialPut } from './runner-credentials.ts';

export interface RegisterPorts {
  readonly db: Database;
  readonly clock: Clock;
  readonly tenants: TenantStore;
  readonly newId: () => string;
  readonly signingKey: () => Promise<Uint8Array>;
  readonly publicUrl: string;
  /** Container image of the runner, as the command names it. */
  readonly runnerImage: string;
}

export interface Registrar {
  readonly tenantId: string;
  readonly userId: string;
  /** The same key with the same body is the same runner and token for 24 h. */
  readonly idempotencyKey: string | undefined;
}

const commandsOf = (ports: RegisterPorts, host: Pick<Host, 'name' | 'maxSessions'>, token: string) => {
  const options = [
    `--url ${ports.publicUrl}`,
    `--token ${token}`,
    ...(host.maxSessions === RUNNER_SESSIONS_DEFAULT ? [] : [`--max-sessions ${host.maxSessions}`]),
    ...(host.name === null ? [] : [`--name ${host.name}`]),
  ].join(' ');
  const container = `docker run --rm --init --stop-timeout 30 --volume village-runner:/village --entrypoint node ${ports.runnerImage} /app/runner-image/src/host/main.ts`;
  return { command: `npx village-runner ${options}`, containerCommand: `${container} --workspace /village ${options}` };
};

const answerOf = async (ports: RegisterPorts, host: Host): Promise<RunnerRegistered> => {
  const { tenantId, runnerId, group } = host;
  const token = deriveRunnerToken(await ports.signingKey(), { kind: 'group', tenantId, runnerId });
  const expiresAt = new Date(host.registeredAtMs + RUNNER_REGISTRATION_TTL_MS).toISOString();
  return { runnerId, group, token, expiresAt, ...commandsOf(ports, host, token) };
};

const newHost = (tenantId: string, runnerId: string, body: RegisterRunnerBody, nowMs: number): Host => ({
  tenantId,
  runnerId,
  group: body.group,
  name: body.name ?? null,
  maxSessions: body.maxSessions,
  isRevoked: false,
  isCut: false,
  desired: 'serve',
  isDraining: false,
  capacity: body.maxSessions,
  live: 0,
  connectionId: null,
  dial: 0,
  runnerVersion: '',
  buildId: '',
  protocol: null,
  clis: {},
  isolation: null,
  registeredAtMs: nowMs,
  connectedAtMs: null,
  lastSeenMs: null,
  expiresAtSec: Math.ceil((nowMs + RUNNER_REGISTRATION_TTL_MS + RUNNER_GONE_SHOWN_MS) / 1_000),
});

const repeated = async (
  ports: RegisterPorts,
  tenantId: string,
  key: string,
  bodyDigest: string,
): Promise<RunnerRegistered | null> => {
  const known = await ports.tenants.idempotent(tenantId, key);
  if (known === null) return null;
  if (known.bodyDigest !== bodyDigest || known.runnerId === undefined)
    throw new AppError(
      'idempotency_mismatch',
      'This idempotency key was used with another request: send a new key with the changed one.',
    );
  const host = await readHost(ports.db, { tenantId, runnerId: known.runnerId }, ports.clock.nowMs());
  if (host === null)
    throw new AppError('conflict', 'The runner that this key registered is forgotten: send a new key.');
  return answerOf(ports, host);
};

/** @throws AppError `limit_reached`: too many that live, or whose token may still be used */
const makeRoom = async ({ db }: RegisterPorts, tenantId: string, nowMs: number): Promise<void> => {
  const rows = await hostRows(db, tenantId);
  const counted = rows.flatMap((row) => hostOf(row, nowMs) ?? []).filter((host) => isCounted(host, nowMs));
  if (counted.length >= RUNNERS_PER_TENANT_MAX)
    throw new AppError(
      'limit_reached',
      `A tenant has at most ${RUNNERS_PER_TENANT_MAX} runners that are connected or registered and not used yet: look at \`village runners list\`, revoke what is not needed with \`village runners revoke <id>\`, then register again. One that is gone, and a token that nobody uses, stop counting within an hour.`,
    );
  await forgetRunners(db, rows, nowMs);
};

/** @throws AppError `limit_reached`, `idempotency_mismatch` */
export const registerRunner = async (
  ports: RegisterPorts,
  { tenantId, userId, idempotencyKey }: Registrar,
  body: RegisterRunnerBody,
): Promise<RunnerRegistered> => {
  const key = idempotencyKey === undefined ? undefined : `${userId} ${idempotencyKey}`;
  const bodyDigest = sha256Hex(`register ${JSON.stringify(body)}`);
  const before = key === undefined ? null : await repeated(ports, tenantId, key, bodyDigest);
  if (before !== null) return before;
  const nowMs = ports.clock.nowMs();
  await makeRoom(ports, tenantId, nowMs);
  const host = newHost(tenantId, `rnr-${ports.newId()}`, body, nowMs);
  const principal = { kind: 'group', tenantId, runnerId: host.runnerId } as const;
  const token = deriveRunnerToken(await ports.signingKey(), principal);
  const written = await ports.db.transact([
    {
      kind: 'put',
      table: 'runners',
      item: { ...hostKey(host), ...host },
      conditions: [{ attr: 'pk', is: 'absent' }],
    },
    runnerCredentialPut(principal, token, nowMs, RUNNER_REGISTRATION_TTL_MS),
    ...(key === undefined ? [] : [idempotencyPut(tenantId, key, { bodyDigest, runnerId: host.runnerId }, nowMs)]),
  ]);
  if (written.ok) return answerOf(ports, host);
  /** A parallel call with the same key was faster. */
  const other = key === undefined ? null : await repeated(ports, tenantId, key, bodyDigest);
  if (other === null) throw new Error(`runner ${host.runnerId} could not be registered`);
  return other;
};
