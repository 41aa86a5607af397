/** The Secrets Manager calls the platform uses: GetSecretValue, CreateSecret, PutSecretValue, DescribeSecret. */
import { randomBytes, randomUUID } from 'node:crypto';
import { z } from 'zod';
import {
  CURRENT,
  SECRETS_MAX,
  type Secret,
  type SecretStore,
  type SecretVersion,
  withCurrent,
} from './secret-store.ts';

/** Largest secret value Secrets Manager takes. */
const VALUE_MAX_BYTES = 65_536;

export type SecretsErrorCode =
  | 'ResourceNotFoundException'
  | 'ResourceExistsException'
  | 'InvalidRequestException'
  | 'InvalidParameterException'
  | 'LimitExceededException'
  | 'UnknownOperationException';

/** An error the service answers with. */
export class SecretsError extends Error {
  readonly code: SecretsErrorCode;

  constructor(code: SecretsErrorCode, message: string) {
    super(message);
    this.name = 'SecretsError';
    this.code = code;
  }
}

export interface SecretsContext {
  store: SecretStore;
  region: string;
  now: () => number;
}

const Value = { SecretString: z.string().optional(), SecretBinary: z.base64().optional() };
const Token = z.string().min(32).max(64).optional();
const CreateInput = z.object({
  Name: z.string().regex(/^[A-Za-z0-9/_+=.@-]{1,512}$/),
  ClientRequestToken: Token,
  ...Value,
});
const PutInput = z.object({ SecretId: z.string(), ClientRequestToken: Token, ...Value });
const GetInput = z.object({
  SecretId: z.string(),
  VersionId: z.string().optional(),
  VersionStage: z.string().optional(),
});
const DescribeInput = z.object({ SecretId: z.string() });

type ValueInput = { SecretString?: string | undefined; SecretBinary?: string | undefined };

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw new SecretsError('InvalidParameterException', z.prettifyError(parsed.error));
  return parsed.data;
}

function mustFind(context: SecretsContext, id: string): Secret {
  const secret = context.store.find(id);
  if (!secret) throw new SecretsError('ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
  return secret;
}

const seconds = (ms: number): number => ms / 1000;
const sameValue = (a: SecretVersion, b: Omit<SecretVersion, 'stages'>): boolean =>
  a.text === b.text && a.binary === b.binary;

function newVersion(context: SecretsContext, input: ValueInput & { ClientRequestToken?: string | undefined }) {
  const { SecretString: text, SecretBinary: binary } = input;
  if ((text === undefined) === (binary === undefined)) {
    throw new SecretsError('InvalidParameterException', 'Give either SecretString or SecretBinary.');
  }
  if (Buffer.byteLength(text ?? binary ?? '') > VALUE_MAX_BYTES)
    throw new SecretsError('InvalidParameterException', 'The secret value is too large.');
  const value = text === undefined ? { binary } : { text };
  return { id: input.ClientRequestToken ?? randomUUID(), createdAtMs: context.now(), ...value };
}

/** The same token with the same value is the same request again; with another value it is an error (Secrets Manager's idempotency). */
function repeated(secret: Secret, version: Omit<SecretVersion, 'stages'>): SecretVersion | undefined {
  const known = secret.versions.find((each) => each.id === version.id);
  if (known && !sameValue(known, version))
    throw new SecretsError('ResourceExistsException', 'A version with this token and another value exists.');
  return known;
}

function createSecret(context: SecretsContext, body: unknown): Promise<unknown> {
  const input = parse(CreateInput, body);
  return context.store.update(() => {
    const version = newVersion(context, input);
    const existing = context.store.find(input.Name);
    if (existing) {
      if (!repeated(existing, version))
        throw new SecretsError('ResourceExistsException', `The secret ${input.Name} already exists.`);
      return { store: undefined, result: { ARN: existing.arn, Name: existing.name, VersionId: version.id } };
    }
    if (context.store.size >= SECRETS_MAX)
      throw new SecretsError('LimitExceededException', `More than ${SECRETS_MAX} secrets.`);
    // Six characters after the name, as AWS adds them: a name is never a prefix of another secret's ARN.
    const arn = `arn:aws:secretsmanager:${context.region}:000000000000:secret:${input.Name}-${randomBytes(3).toString('hex')}`;
    const secret = withCurrent({ name: input.Name, arn, createdAtMs: context.now(), versions: [] }, version);
    return { store: secret, result: { ARN: arn, Name: input.Name, VersionId: version.id } };
  });
}

function putSecretValue(context: SecretsContext, body: unknown): Promise<unknown> {
  const input = parse(PutInput, body);
  return context.store.update(() => {
    const secret = mustFind(context, input.SecretId);
    const version = newVersion(context, input);
    const known = repeated(secret, version);
    const result = {
      ARN: secret.arn,
      Name: secret.name,
      VersionId: version.id,
      VersionStages: known?.stages ?? [CURRENT],
    };
    return { store: known ? undefined : withCurrent(secret, version), result };
  });
}

async function getSecretValue(context: SecretsContext, body: unknown): Promise<unknown> {
  const input = parse(GetInput, body);
  const secret = mustFind(context, input.SecretId);
  const stage = input.VersionStage ?? (input.VersionId === undefined ? CURRENT : undefined);
  const version = secret.versions.find(
    (each) =>
      (stage === undefined || each.stages.includes(stage)) &&
      (input.VersionId === undefined || each.id === input.VersionId),
  );
  if (!version)
    throw new SecretsError('ResourceNotFoundException', `Secrets Manager can't find the specified secret value.`);
  const value = version.text === undefined ? { SecretBinary: version.binary } : { SecretString: version.text };
  const about = { ARN: secret.arn, Name: secret.name, VersionId: version.id, VersionStages: version.stages };
  return { ...about, ...value, CreatedDate: seconds(version.createdAtMs) };
}

async function describeSecret(context: SecretsContext, body: unknown): Promise<unknown> {
  const secret = mustFind(context, parse(DescribeInput, body).SecretId);
  const stages = secret.versions
    .filter((version) => version.stages.length > 0)
    .map((version) => [version.id, version.stages]);
  const last = Math.max(...secret.versions.map((version) => version.createdAtMs));
  const about = { ARN: secret.arn, Name: secret.name, VersionIdsToStages: Object.fromEntries(stages) };
  return { ...about, CreatedDate: seconds(secret.createdAtMs), LastChangedDate: seconds(last) };
}

const OPERATIONS: Readonly<Record<string, (context: SecretsContext, body: unknown) => Promise<unknown>>> = {
  CreateSecret: createSecret,
  PutSecretValue: putSecretValue,
  GetSecretValue: getSecretValue,
  DescribeSecret: describeSecret,
};

/** Runs the operation named by X-Amz-Target (`secretsmanager.<name>`); throws SecretsError. */
export async function callSecrets(context: SecretsContext, target: string, body: unknown): Promise<unknown> {
  const name = /^secretsmanager\.(\w+)$/.exec(target)?.[1] ?? '';
  const operation = Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined;
  if (!operation) throw new SecretsError('UnknownOperationException', `${target} is not answered here.`);
  return operation(context, body);
}

/** Value of the secret `name`, made and stored by `makeValue` where there is none. */
export function ensureSecret(context: SecretsContext, name: string, makeValue: () => string): Promise<string> {
  return context.store.update(() => {
    const existing = context.store.find(name)?.versions.find((version) => version.stages.includes(CURRENT))?.text;
    if (existing !== undefined) return { store: undefined, result: existing };
    const text = makeValue();
    const arn = `arn:aws:secretsmanager:${context.region}:000000000000:secret:${name}-${randomBytes(3).toString('hex')}`;
    const fresh = { name, arn, createdAtMs: context.now(), versions: [] };
    const version = { id: randomUUID(), text, createdAtMs: context.now() };
    return { store: withCurrent(context.store.find(name) ?? fresh, version), result: text };
  });
}
