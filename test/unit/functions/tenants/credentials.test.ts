import { describe, expect, test } from 'vitest';
import type { Database } from '../../../../functions/database.ts';
import { sha256Hex } from '../../../../functions/hash.ts';
import { issueCredentials } from '../../../../functions/runners/issue-credentials.ts';
import { deriveStartToken, exchangeCredential } from '../../../../functions/runners/runner-credentials.ts';
import { inputsObjectKey } from '../../../../functions/streams/chunks.ts';
import { bootstrapTenant, createTicket, redeemTicket, signIn } from '../../../../functions/tenants/sign-in.ts';
import { nextRunnerCredential } from '../../../../shared/runner-credential.ts';
import { controlPlanePorts, startedSession, TENANT, USER } from '../../../fakes/control-plane-ports.ts';

const ORIGINS = ['https://village.test'];

describe('sign-in', () => {
  test('a link works once, for its tenant, for ten minutes', async () => {
    const ports = controlPlanePorts();
    const { signInCode } = await bootstrapTenant(ports, { tenantId: TENANT, modelVendors: [] }, USER);
    const signedIn = await signIn(ports, signInCode);
    expect(await ports.signer.verify('user', signedIn.token)).toMatchObject({
      tenantId: TENANT,
      userId: USER,
      client: 'browser',
    });
    await expect(signIn(ports, signInCode)).rejects.toMatchObject({ code: 'invalid_credential' });
    const late = await bootstrapTenant(ports, { tenantId: TENANT, modelVendors: [] }, USER);
    ports.clock.advance(10 * 60_000 + 1);
    await expect(signIn(ports, late.signInCode)).rejects.toMatchObject({ code: 'invalid_credential' });
  });

  test('of a thousand parallel redeems of a ticket exactly one wins', async () => {
    const ports = controlPlanePorts();
    const { ticket } = await createTicket(ports, {
      kind: 'user',
      tenantId: TENANT,
      userId: USER,
      expSec: 9e9,
      client: 'browser',
    });
    const results = await Promise.all(
      Array.from({ length: 1_000 }, () => redeemTicket(ports, ticket, ORIGINS[0], ORIGINS)),
    );
    expect(results.filter((result) => result !== null)).toEqual([{ tenantId: TENANT, userId: USER }]);
  });

  test.each([
    undefined,
    'null',
    'https://village.test.evil',
    'http://village.test',
    'https://village.test:444',
    'https://evil',
  ])('a browser ticket is refused with origin %s', async (origin) => {
    const ports = controlPlanePorts();
    const { ticket } = await createTicket(ports, {
      kind: 'user',
      tenantId: TENANT,
      userId: USER,
      expSec: 9e9,
      client: 'browser',
    });
    expect(await redeemTicket(ports, ticket, origin, ORIGINS)).toBeNull();
  });

  test('a command-line ticket is refused to a page', async () => {
    const ports = controlPlanePorts();
    const cli = { kind: 'user', tenantId: TENANT, userId: USER, expSec: 9e9, client: 'cli' } as const;
    expect(await redeemTicket(ports, (await createTicket(ports, cli)).ticket, ORIGINS[0], ORIGINS)).toBeNull();
    expect(await redeemTicket(ports, (await createTicket(ports, cli)).ticket, undefined, ORIGINS)).toEqual({
      tenantId: TENANT,
      userId: USER,
    });
  });

  test('a ticket dies after 30 s', async () => {
    const ports = controlPlanePorts();
    const { ticket } = await createTicket(ports, {
      kind: 'user',
      tenantId: TENANT,
      userId: USER,
      expSec: 9e9,
      client: 'cli',
    });
    ports.clock.advance(30_001);
    expect(await redeemTicket(ports, ticket, undefined, ORIGINS)).toBeNull();
  });

  test('a token of one kind is not one of another, and a changed one is none', async () => {
    const ports = controlPlanePorts();
    const { token } = await bootstrapTenant(ports, { tenantId: TENANT, modelVendors: [] }, USER);
    await expect(ports.signer.verify('capability', token)).rejects.toMatchObject({ code: 'invalid_credential' });
    await expect(ports.signer.verify('user', `${token.slice(0, -2)}xx`)).rejects.toMatchObject({
      code: 'invalid_credential',
    });
    ports.clock.advance(31 * 24 * 60 * 60_000);
    await expect(ports.signer.verify('user', token)).rejects.toMatchObject({ code: 'invalid_credential' });
  });
});

describe("a runner's credential", () => {
  const setUp = async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    const token = deriveStartToken(await ports.signingKey(), { ...ref, epoch: 1 });
    const second = nextRunnerCredential(token, 'b'.repeat(64));
    const third = nextRunnerCredential(token, 'c'.repeat(64));
    return { ports, ref, token, second, third };
  };

  test('is exchanged at the first dial, rotates at the next, and a replay is refused', async () => {
    const { ports, ref, token, second, third } = await setUp();
    expect(await exchangeCredential(ports, token, sha256Hex(second))).toEqual({ kind: 'session', ...ref, epoch: 1 });
    expect(await exchangeCredential(ports, token, sha256Hex(third))).toBeNull();
    expect(await exchangeCredential(ports, second, sha256Hex(third))).toEqual({ kind: 'session', ...ref, epoch: 1 });
    expect(await exchangeCredential(ports, second, sha256Hex(token))).toBeNull();
  });

  test('a lost answer can be asked for again', async () => {
    const { ports, ref, token, second } = await setUp();
    await exchangeCredential(ports, token, sha256Hex(second));
    expect(await exchangeCredential(ports, token, sha256Hex(second))).toEqual({ kind: 'session', ...ref, epoch: 1 });
  });

  test('the answer to the exchange itself may be lost: the write is repeated by the store, and the runner is not refused', async () => {
    const { ports, ref, token, second } = await setUp();
    const write: typeof ports.db.write = async (asked) => {
      await ports.db.write(asked);
      return ports.db.write(asked);
    };
    const db: Database = {
      get: (table, key) => ports.db.get(table, key),
      query: (query) => ports.db.query(query),
      transact: (writes) => ports.db.transact(writes),
      write,
    };
    expect(await exchangeCredential({ ...ports, db }, token, sha256Hex(second))).toEqual({
      kind: 'session',
      ...ref,
      epoch: 1,
    });
  });

  test('of two dials at once that offer different ones, one is refused; the same one twice is granted twice', async () => {
    const { ports, token, second, third } = await setUp();
    const exchange = (next: string) => exchangeCredential(ports, token, sha256Hex(next));
    expect((await Promise.all([exchange(second), exchange(third)])).filter((granted) => granted === null)).toHaveLength(
      1,
    );
    const other = await setUp();
    const twice = () => exchangeCredential(other.ports, other.token, sha256Hex(second));
    expect(await Promise.all([twice(), twice()])).not.toContain(null);
  });

  test('the start token expires, what follows it does not', async () => {
    const { ports, token, second, third } = await setUp();
    await exchangeCredential(ports, token, sha256Hex(second));
    ports.clock.advance(11 * 60_000);
    expect(await exchangeCredential(ports, second, sha256Hex(third))).not.toBeNull();
    const other = await setUp();
    other.ports.clock.advance(11 * 60_000);
    expect(await exchangeCredential(other.ports, other.token, sha256Hex(second))).toBeNull();
  });

  test.each(['', 'rt.acme', `rt.acme.ses_x.1.${'a'.repeat(64)}`, 'Bearer x'])(
    '%s is no credential',
    async (presented) => {
      const { ports, second } = await setUp();
      expect(await exchangeCredential(ports, presented, sha256Hex(second))).toBeNull();
    },
  );

  test('model keys and inputs are given for a live epoch only', async () => {
    const { ports, ref } = await setUp();
    const capability = (epoch: number) => ports.signer.sign({ kind: 'capability', ...ref, epoch, expSec: 9e9 });
    const asked = { ...ports, modelKey: async () => 'real-key' };
    expect(await issueCredentials(asked, await capability(1))).toMatchObject({
      model: { kind: 'none' },
      repository: { token: null, username: null },
    });
    await ports.objects.putJson(inputsObjectKey(ref), { prompt: 'p', repository: { token: 'pass', username: 'me' } });
    expect(await issueCredentials(asked, await capability(1))).toMatchObject({
      repository: { token: 'pass', username: 'me' },
      inputs: { prompt: 'p' },
    });
    await expect(issueCredentials(asked, await capability(2))).rejects.toMatchObject({ code: 'stale_epoch' });
    await expect(issueCredentials(asked, 'forged')).rejects.toMatchObject({ code: 'invalid_credential' });
  });
});
