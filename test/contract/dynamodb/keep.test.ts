/** An embedded database that ends by itself: on again at its address with everything that was written, or given up in words. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateTableCommand, DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findDynoxide } from '../../../local/dynamodb/dynoxide.ts';
import { type KeptDynamodb, keepDynamodb } from '../../../local/dynamodb/keep-dynamodb.ts';
import { until } from '../../fakes/village.ts';
import { processesAt } from '../../fakes/village-processes.ts';

const LIVES_MAX = 6;
let dir: string;
let kept: KeptDynamodb | undefined;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'village-kept-'));
});
afterEach(async () => {
  await kept?.stop();
  kept = undefined;
  rmSync(dir, { recursive: true, force: true });
});

const pid = (): number | undefined => processesAt(dir).find(({ command }) => /dynoxide serve/.test(command))?.pid;
const kill = async (): Promise<void> => {
  const before = await until('the database', pid);
  process.kill(before, 'SIGKILL');
  await until('the end', () => (pid() === before ? undefined : true));
};

describe.skipIf(findDynoxide() === undefined)('a database that is killed', () => {
  it('is back on its port with what was written, again and again, until it is too often', async () => {
    const warned: string[] = [];
    const lost: string[] = [];
    const started = await keepDynamodb({
      ...{ dir, warn: (line) => void warned.push(line), onLost: (why) => void lost.push(why) },
    });
    if (!started.ok) throw new Error(started.message);
    kept = started.dynamodb;
    const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
    const client = new DynamoDBClient({ endpoint: kept.endpoint, region: 'us-east-1', credentials, maxAttempts: 1 });
    try {
      await client.send(
        new CreateTableCommand({
          TableName: 'kept',
          BillingMode: 'PAY_PER_REQUEST',
          AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
          KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
        }),
      );
      for (let life = 1; life < LIVES_MAX; life += 1) {
        await client.send(new PutItemCommand({ TableName: 'kept', Item: { pk: { S: `life-${life}` } } }));
        await kill();
        await until('the next life', () => (warned.length >= life ? true : undefined));
        const key = { pk: { S: `life-${life}` } };
        expect((await client.send(new GetItemCommand({ TableName: 'kept', Key: key }))).Item).toEqual(key);
      }
      expect(lost).toEqual([]);
      await kill();
      await until('the last word', () => lost[0]);
      expect(lost).toEqual([`the embedded DynamoDB ended ${LIVES_MAX} times within a minute`]);
      expect(warned).toHaveLength(LIVES_MAX - 1);
    } finally {
      client.destroy();
    }
  });

  it('stops for good when it is asked to while it starts again', async () => {
    const lost: string[] = [];
    const started = await keepDynamodb({ dir, warn: () => {}, onLost: (why) => void lost.push(why) });
    if (!started.ok) throw new Error(started.message);
    await kill();
    await started.dynamodb.stop();
    expect(pid()).toBeUndefined();
    expect(lost).toEqual([]);
  });

  it('is given up with what it said when it cannot start again', async () => {
    const lost: string[] = [];
    const binary = join(dir, 'binary');
    writeFileSync(binary, `#!/bin/sh\nexec '${findDynoxide()}' "$@"\n`);
    chmodSync(binary, 0o755);
    const started = await keepDynamodb({ dir, binary, warn: () => {}, onLost: (why) => void lost.push(why) });
    if (!started.ok) throw new Error(started.message);
    kept = started.dynamodb;
    writeFileSync(binary, '#!/bin/sh\necho "the disk is gone" >&2\nexit 3\n');
    await kill();
    expect(await until('the last word', () => lost[0])).toContain('the disk is gone');
  });
});
