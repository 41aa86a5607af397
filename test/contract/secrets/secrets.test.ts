import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RunningSecrets, startSecrets } from '../../../local/secrets/server.ts';

const KEYS = { accessKeyId: 'AKIDVILLAGE', secretAccessKey: 'a-secret-for-tests' };
let dir: string;
let file: string;
let secrets: RunningSecrets;
let client: SecretsManagerClient;

const newClient = (credentials = KEYS, region = 'us-east-1') => {
  process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER = secrets.endpoint;
  return new SecretsManagerClient({ region, credentials, maxAttempts: 1 });
};
const start = async () => {
  secrets = await startSecrets({ file, ...KEYS, region: 'us-east-1', now: () => Date.now() });
  client = newClient();
};

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'village-secrets-'));
  file = join(dir, 'private', 'secrets.json');
  await start();
});
afterEach(async () => {
  await secrets.stop();
  await rm(dir, { recursive: true, force: true });
});

const create = (Name: string, SecretString: string, more = {}) =>
  client.send(new CreateSecretCommand({ Name, SecretString, ...more }));
const get = (SecretId: string, more = {}) => client.send(new GetSecretValueCommand({ SecretId, ...more }));
const nameOf = (call: Promise<unknown>) =>
  call.then(
    () => 'no error',
    (error: Error) => error.name,
  );

describe('architecture §3, row Secrets Manager', () => {
  it('creates, reads by name and ARN, describes', async () => {
    const made = await create('village/signing', 'value');
    expect(made.ARN).toMatch(/^arn:aws:secretsmanager:us-east-1:000000000000:secret:village\/signing-[0-9a-f]{6}$/);
    expect(await get('village/signing')).toMatchObject({
      SecretString: 'value',
      Name: 'village/signing',
      VersionStages: ['AWSCURRENT'],
      VersionId: made.VersionId,
    });
    expect((await get(made.ARN ?? '')).SecretString).toBe('value');
    const described = await client.send(new DescribeSecretCommand({ SecretId: 'village/signing' }));
    expect(described).toMatchObject({ ARN: made.ARN, VersionIdsToStages: { [made.VersionId ?? '']: ['AWSCURRENT'] } });
    expect(described.CreatedDate?.getTime()).toBeGreaterThan(Date.now() - 60_000);
  });

  it('rotates: the new value is current, the old one previous, older ones are forgotten in time', async () => {
    await create('rotating', 'v0');
    for (let at = 1; at <= 12; at += 1)
      await client.send(new PutSecretValueCommand({ SecretId: 'rotating', SecretString: `v${at}` }));
    expect((await get('rotating')).SecretString).toBe('v12');
    expect((await get('rotating', { VersionStage: 'AWSPREVIOUS' })).SecretString).toBe('v11');
    const stored = JSON.parse(readFileSync(file, 'utf8')).secrets[0].versions;
    expect(stored.map((version: { text: string }) => version.text)).toEqual(
      Array.from({ length: 10 }, (_, at) => `v${at + 3}`),
    );
  });

  it('keeps binary values', async () => {
    const SecretBinary = new Uint8Array([0, 1, 254, 255]);
    await client.send(new CreateSecretCommand({ Name: 'binary', SecretBinary }));
    expect((await get('binary')).SecretBinary).toEqual(SecretBinary);
  });

  it('answers ResourceNotFoundException, ResourceExistsException and InvalidParameterException', async () => {
    expect(await nameOf(get('absent'))).toBe('ResourceNotFoundException');
    expect(await nameOf(client.send(new PutSecretValueCommand({ SecretId: 'absent', SecretString: 'x' })))).toBe(
      'ResourceNotFoundException',
    );
    await create('once', 'a');
    expect(await nameOf(create('once', 'a'))).toBe('ResourceExistsException');
    expect(await nameOf(get('once', { VersionStage: 'AWSPREVIOUS' }))).toBe('ResourceNotFoundException');
    expect(await nameOf(create('bad name!', 'a'))).toBe('InvalidParameterException');
    expect(await nameOf(create('large', 'x'.repeat(65_537)))).toBe('InvalidParameterException');
    expect(await nameOf(client.send(new DeleteSecretCommand({ SecretId: 'once' })))).toBe('UnknownOperationException');
  });

  it('the same ClientRequestToken is the same request', async () => {
    const token = { ClientRequestToken: '0123456789abcdef0123456789abcdef' };
    const made = await create('token', 'a', token);
    expect((await create('token', 'a', token)).ARN).toBe(made.ARN);
    expect(await nameOf(create('token', 'b', token))).toBe('ResourceExistsException');
    await client.send(new PutSecretValueCommand({ SecretId: 'token', SecretString: 'a', ...token }));
    expect(
      await nameOf(client.send(new PutSecretValueCommand({ SecretId: 'token', SecretString: 'c', ...token }))),
    ).toBe('ResourceExistsException');
    expect((await get('token')).SecretString).toBe('a');
  });

  it('concurrent creates of one name: one wins; of many names: none is lost', async () => {
    const same = await Promise.all(Array.from({ length: 5 }, (_, at) => nameOf(create('same', `${at}`))));
    expect(same.filter((name) => name === 'no error')).toHaveLength(1);
    await Promise.all(Array.from({ length: 10 }, (_, at) => create(`many-${at}`, `${at}`)));
    await secrets.stop();
    await start();
    for (let at = 0; at < 10; at += 1) expect((await get(`many-${at}`)).SecretString).toBe(`${at}`);
  });
});

describe('architecture §3: a file with mode 0600', () => {
  it('is private also when it was made wider, survives a restart, and leaves no temporary file', async () => {
    await create('kept', 'value');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(dir, 'private')).mode & 0o777).toBe(0o700);
    chmodSync(file, 0o644);
    await secrets.stop();
    await start();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect((await get('kept')).SecretString).toBe('value');
    expect(readdirSync(join(dir, 'private'))).toEqual(['secrets.json']);
  });

  it('a file that is no secrets file stops the start instead of being replaced', async () => {
    await secrets.stop();
    writeFileSync(file, '{"version":2}');
    await expect(startSecrets({ file, ...KEYS, region: 'us-east-1', now: () => Date.now() })).rejects.toThrow();
    expect(readFileSync(file, 'utf8')).toBe('{"version":2}');
    writeFileSync(file, '{"version":1,"secrets":[]}');
    await start();
  });

  it('ensure makes a value once', async () => {
    expect(await secrets.ensure('made', () => 'first')).toBe('first');
    expect(await secrets.ensure('made', () => 'second')).toBe('first');
    expect((await get('made')).SecretString).toBe('first');
    const both = await Promise.all([secrets.ensure('race', () => 'a'), secrets.ensure('race', () => 'b')]);
    expect(both).toEqual(['a', 'a']);
  });
});

describe('security: the port is open to every process of the machine', () => {
  it('refuses a wrong secret, an unknown key, no signature, and a body that was changed', async () => {
    await create('guarded', 'value');
    const read = (credentials: typeof KEYS) =>
      nameOf(newClient(credentials).send(new GetSecretValueCommand({ SecretId: 'guarded' })));
    expect(await read({ ...KEYS, secretAccessKey: 'wrong' })).toBe('InvalidSignatureException');
    expect(await read({ ...KEYS, accessKeyId: 'AKIDNOBODY' })).toBe('UnrecognizedClientException');
    const bare = await fetch(secrets.endpoint, {
      method: 'POST',
      headers: { 'x-amz-target': 'secretsmanager.GetSecretValue' },
      body: '{"SecretId":"guarded"}',
    });
    expect([bare.status, await bare.json()]).toEqual([
      403,
      { __type: 'AccessDeniedException', message: 'Access Denied' },
    ]);
    client.middlewareStack.add(
      (next) => (args) => {
        (args.request as { body: string }).body = '{"SecretId":"village"}';
        return next(args);
      },
      { step: 'finalizeRequest', priority: 'low', name: 'tamper' },
    );
    expect(await nameOf(get('guarded'))).toBe('InvalidSignatureException');
  });

  it('refuses a body over the cap', async () => {
    const large = await fetch(secrets.endpoint, { method: 'POST', body: 'x'.repeat(500 * 1024) });
    expect(large.status).toBe(413);
  });
});
