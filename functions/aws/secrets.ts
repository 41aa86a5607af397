/** Secrets Manager, read through a short memory so that a rotated secret is seen within minutes and no request waits for it. */
import { GetSecretValueCommand, type SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import type { Clock } from '../../shared/clock.ts';

const MEMORY_MS = 5 * 60_000;

/** @returns the secret's text; `null` where it has no value yet */
export const secretReader = ({ client, clock }: { client: () => SecretsManagerClient; clock: Clock }) => {
  const memory = new Map<string, { value: string | null; untilMs: number }>();
  return async (secretId: string): Promise<string | null> => {
    const known = memory.get(secretId);
    if (known !== undefined && known.untilMs > clock.monotonicMs()) return known.value;
    const { SecretString } = await client().send(new GetSecretValueCommand({ SecretId: secretId }));
    const value = SecretString ?? null;
    memory.set(secretId, { value, untilMs: clock.monotonicMs() + MEMORY_MS });
    return value;
  };
};
