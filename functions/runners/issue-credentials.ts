/** What a runner may know to run its session: model access, repository token, the inputs of the start. Into its memory only. */
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import type { RunnerCredentials } from '../../shared/http.ts';
import { Scenario } from '../../shared/scenario.ts';
import { SessionInputs } from '../../shared/session.ts';
import type { ObjectStore } from '../sessions/ports.ts';
import type { SessionMeta, SessionStore } from '../sessions/session-store.ts';
import type { Signer } from '../signing.ts';
import { inputsObjectKey } from '../streams/chunks.ts';

const CREDENTIALS_TTL_MS = 60 * 60_000;
const ANTHROPIC_URL = 'https://api.anthropic.com';
const StoredInputs = SessionInputs.extend({
  scenario: Scenario.optional(),
  repository: z.strictObject({ token: z.string().nullable(), username: z.string().nullable() }).optional(),
});

export interface CredentialPorts {
  readonly sessions: SessionStore;
  readonly objects: ObjectStore;
  readonly signer: Signer;
  readonly clock: Clock;
  /** Key of the vendor, or `null`. */
  readonly modelKey: (vendor: 'anthropic') => Promise<string | null>;
}

const modelOf = async (
  ports: CredentialPorts,
  meta: SessionMeta,
  inputs: z.infer<typeof StoredInputs>,
): Promise<RunnerCredentials['model']> => {
  if (meta.config.provider === 'shell') return { kind: 'none' };
  if (meta.config.model === 'scripted') return { kind: 'scripted', scenario: inputs.scenario ?? { turns: [] } };
  const apiKey = await ports.modelKey('anthropic');
  if (apiKey === null)
    throw new AppError('provider_unavailable', 'There is no model key: start the village with ANTHROPIC_API_KEY set.');
  return { kind: 'anthropic', apiKey, baseUrl: ANTHROPIC_URL };
};

/** @throws AppError `invalid_credential`, `stale_epoch`, `not_found`, `provider_unavailable` */
export const issueCredentials = async (ports: CredentialPorts, capabilityToken: string): Promise<RunnerCredentials> => {
  const { tenantId, sessionId, epoch } = await ports.signer.verify('capability', capabilityToken);
  const ref = { tenantId, sessionId };
  const [record, stored] = await Promise.all([ports.sessions.record(ref), ports.objects.getJson(inputsObjectKey(ref))]);
  if (record === null) throw new AppError('not_found', 'There is no such session.');
  if (record.head.epoch !== epoch || !record.head.open)
    throw new AppError('stale_epoch', 'This life of the session is over.');
  const inputs = StoredInputs.parse(stored ?? {});
  const { scenario: _scenario, repository = { token: null, username: null }, ...forRunner } = inputs;
  return {
    expiresAt: new Date(ports.clock.nowMs() + CREDENTIALS_TTL_MS).toISOString(),
    model: await modelOf(ports, record.meta, inputs),
    repository,
    inputs: forRunner,
  };
};
