/** Starts a session: everything is written before a task is asked for, so that no crash leaves a task that nobody knows. */
import type { Random } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import type { EventDraft } from '../../shared/events.ts';
import type { StartSessionBody } from '../../shared/http.ts';
import {
  PARK_AFTER_MS,
  PLACE_RETRY_MS,
  SESSION_IDLE_MS,
  SESSION_MAX_DURATION_MS,
  START_TIMEOUT_MS,
} from '../../shared/limits.ts';
import { PROVIDERS } from '../../shared/providers.ts';
import { type SessionConfig, splitRepositoryCredentials } from '../../shared/session.ts';
import { ZERO_USAGE } from '../../shared/usage.ts';
import type { Write } from '../database.ts';
import { sha256Hex } from '../hash.ts';
import type { BuildStore } from '../releases/build-store.ts';
import { credentialPut, deriveStartToken } from '../runners/runner-credentials.ts';
import { numberEvents } from '../streams/append-events.ts';
import { inputsObjectKey } from '../streams/chunks.ts';
import { segmentPut } from '../streams/segments.ts';
import { idempotencyPut, type TenantStore } from '../tenants/tenant-store.ts';
import { type Chosen, choosePool } from './choose-pool.ts';
import { liveShardOf } from './live-index.ts';
import { type PlacePorts, placeEpoch } from './place-epoch.ts';
import type { ObjectStore } from './ports.ts';
import { epochKey, headKey, type SessionMeta, type SessionRef, sessionPuts } from './session-store.ts';
import { takeSlot } from './slots.ts';

export interface StartPorts extends PlacePorts {
  readonly tenants: TenantStore;
  readonly builds: BuildStore;
  readonly objects: ObjectStore;
  readonly random: Random;
  readonly newId: () => string;
}

export interface Starter {
  readonly tenantId: string;
  readonly userId: string;
  /** Key of the caller; the same key with the same body is the same session for 24 h. */
  readonly idempotencyKey: string | undefined;
}

const FIRST_EPOCH = 1;

const checkModel = async (ports: StartPorts, tenantId: string, body: StartSessionBody): Promise<void> => {
  const provider = PROVIDERS[body.provider];
  if (!provider.available)
    throw new AppError(
      'provider_unavailable',
      `${provider.displayName} cannot be started: ${provider.reason ?? 'not available'}.`,
      { path: 'provider' },
    );
  if (body.provider === 'shell' || body.model === 'scripted') return;
  const profile = await ports.tenants.profile(tenantId);
  if (profile?.modelVendors.includes('anthropic') !== true)
    throw new AppError(
      'provider_unavailable',
      'There is no model key: start the village with ANTHROPIC_API_KEY set, or choose model "scripted" with a scenario.',
      {
        path: 'model',
      },
    );
};

const configOf = (
  ports: StartPorts,
  tenantId: string,
  sessionId: string,
  build: Chosen,
  body: StartSessionBody,
): SessionConfig => ({
  sessionId,
  tenantId,
  agentId: body.agentId ?? `agt_${ports.newId()}`,
  provider: body.provider,
  buildId: build.buildId,
  model: body.model,
  repository: body.repository,
  terminal: body.terminal,
  maxDurationMs: body.maxDurationMs ?? SESSION_MAX_DURATION_MS,
  idleMs: body.idleMs ?? SESSION_IDLE_MS,
  endWhenDone: body.endWhenDone ?? body.prompt !== undefined,
  pool: body.pool,
  parkAfterMs: body.parkAfterMs ?? PARK_AFTER_MS,
});

const titleOf = (body: StartSessionBody): string =>
  (body.task?.title ?? body.prompt?.split('\n')[0] ?? body.repository.url.split('/').at(-1) ?? '').slice(0, 200) ||
  'Session';

const metaOf = (config: SessionConfig, build: Chosen, title: string, userId: string, nowMs: number): SessionMeta => {
  const nowIso = new Date(nowMs).toISOString();
  return {
    config,
    title,
    createdBy: userId,
    createdAt: nowIso,
    updatedAt: nowIso,
    lastEventAt: nowIso,
    startedAt: null,
    endedAt: null,
    state: 'created',
    reason: null,
    desired: 'run',
    epoch: FIRST_EPOCH,
    offset: 0,
    seq: 1,
    taskArn: null,
    taskDefinition: build.taskDefinitionArn,
    cliVersion: build.clis[config.provider] ?? 'unknown',
    usage: ZERO_USAGE,
    usageBefore: ZERO_USAGE,
    diffKey: null,
    placement: null,
    checkpoint: null,
    strikes: 0,
    refusals: 0,
    isSuspended: false,
    isParked: false,
    usageRev: 0,
    ranMs: 0,
    previousCheckpointKey: null,
    queuePosition: null,
    liveShard: liveShardOf(config.sessionId),
    nextCheckAtMs: nowMs + PLACE_RETRY_MS,
  };
};

const creation = (ref: SessionRef, meta: SessionMeta, token: string, nowMs: number): Write[] => {
  const created: EventDraft = {
    type: 'session_created',
    provider: meta.config.provider,
    buildId: meta.config.buildId,
    createdBy: meta.createdBy,
    title: meta.title,
  };
  const absent = [{ attr: 'pk', is: 'absent' }] as const;
  const head = {
    epoch: FIRST_EPOCH,
    open: true,
    ackedRseq: 0,
    seq: 1,
    offset: 0,
    state: 'created',
    desired: 'run',
    desiredRev: 0,
    leaseUntilMs: nowMs + START_TIMEOUT_MS,
    assignedAtMs: null,
    annexRseq: 0,
    recent: [],
  };
  return [
    ...sessionPuts(ref, meta),
    { kind: 'put', table: 'sessions', item: { ...headKey(ref), ...head }, conditions: absent },
    {
      kind: 'put',
      table: 'sessions',
      item: { ...epochKey(ref, FIRST_EPOCH), epoch: FIRST_EPOCH, openedAtMs: nowMs },
      conditions: absent,
    },
    segmentPut(ref, {
      epoch: FIRST_EPOCH,
      firstRseq: 0,
      digest: 'control',
      events: numberEvents(ref, { epoch: FIRST_EPOCH, seq: 0, offset: 0 }, [created], nowMs),
      firstSeq: 1,
      committedAtMs: nowMs,
    }),
    credentialPut({ ...ref, epoch: FIRST_EPOCH }, token, nowMs),
    ...takeSlot(ref),
  ];
};

const repeated = async (
  ports: StartPorts,
  starter: Starter,
  key: string,
  bodyDigest: string,
): Promise<SessionRef | null> => {
  const known = await ports.tenants.idempotent(starter.tenantId, key);
  if (known === null) return null;
  if (known.bodyDigest !== bodyDigest || known.sessionId === undefined)
    throw new AppError(
      'idempotency_mismatch',
      'This idempotency key was used with another body: send a new key with the changed request.',
    );
  return { tenantId: starter.tenantId, sessionId: known.sessionId };
};

/** A repeat finds its session, also one whose first call died before the task was asked for. */
const resumeStart = async (ports: StartPorts, ref: SessionRef): Promise<SessionMeta> => {
  const meta = await ports.sessions.meta(ref);
  if (meta === null) throw new Error(`idempotency key names ${ref.sessionId}, which does not exist`);
  if (meta.taskArn === null && meta.state === 'created') await placeEpoch(ports, ref, meta);
  return (await ports.sessions.meta(ref)) ?? meta;
};

/** The address as it is stored, shown and digested; what gave access goes with the inputs, which only the runner reads. */
const withoutSecrets = (body: StartSessionBody) => {
  const { url, username = null, password: token = null } = splitRepositoryCredentials(body.repository.url);
  return { body: { ...body, repository: { ...body.repository, url } }, repository: { token, username } };
};

/**
 * @throws AppError `no_such_pool`, `provider_unavailable`, `build_unavailable`, `limit_reached`, `idempotency_mismatch`
 */
export const startSession = async (
  ports: StartPorts,
  starter: Starter,
  asked: StartSessionBody,
): Promise<SessionMeta> => {
  const { body, repository } = withoutSecrets(asked);
  const bodyDigest = sha256Hex(JSON.stringify(body));
  const idempotencyKey =
    starter.idempotencyKey === undefined ? undefined : `${starter.userId} ${starter.idempotencyKey}`;
  if (idempotencyKey !== undefined) {
    const known = await repeated(ports, starter, idempotencyKey, bodyDigest);
    if (known !== null) return resumeStart(ports, known);
  }
  await checkModel(ports, starter.tenantId, body);
  const build = await choosePool(ports, starter.tenantId, body);
  const sessionId = `ses_${ports.newId()}`;
  const ref: SessionRef = { tenantId: starter.tenantId, sessionId };
  const nowMs = ports.clock.nowMs();
  const meta = metaOf(
    configOf(ports, starter.tenantId, sessionId, build, body),
    build,
    titleOf(body),
    starter.userId,
    nowMs,
  );
  const token = deriveStartToken(await ports.signingKey(), { ...ref, epoch: FIRST_EPOCH });
  const { prompt, task, scenario } = body;
  await ports.objects.putJson(inputsObjectKey(ref), { prompt, task, scenario, repository });
  const writes = creation(ref, meta, token, nowMs);
  const idempotency =
    idempotencyKey === undefined
      ? []
      : [idempotencyPut(starter.tenantId, idempotencyKey, { bodyDigest, sessionId }, nowMs)];
  const written = await ports.db.transact([...writes, ...idempotency]);
  if (!written.ok) {
    if (idempotencyKey !== undefined && written.failed.some(({ index }) => index >= writes.length)) {
      const known = await repeated(ports, starter, idempotencyKey, bodyDigest);
      if (known !== null) return resumeStart(ports, known);
    }
    throw new AppError(
      'limit_reached',
      'All session slots of this tenant are taken: stop a session, then start again.',
    );
  }
  await placeEpoch(ports, ref, meta);
  return (await ports.sessions.meta(ref)) ?? meta;
};
