/** The Database port on both its engines: memory, and the embedded one behind the real adapter. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { dynamoDatabase } from '../../../functions/aws/dynamo-database.ts';
import type { Database, TableName } from '../../../functions/database.ts';
import { TABLES } from '../../../infra/topology.ts';
import { startDynamodb } from '../../../local/dynamodb/dynoxide.ts';
import { ensureTables } from '../../../local/dynamodb/ensure-tables.ts';
import { systemClock } from '../../../shared/clock.ts';
import { seededRandom } from '../../fakes/control-plane-ports.ts';
import { MemoryDatabase } from '../../fakes/memory-database.ts';

interface OpenDatabase {
  readonly db: Database;
  readonly close: () => Promise<void>;
}
export interface Engine {
  readonly name: string;
  readonly open: () => Promise<OpenDatabase>;
}

export const MEMORY_ENGINE: Engine = {
  name: 'memory',
  open: async () => ({ db: new MemoryDatabase(), close: async () => {} }),
};

export const DYNOXIDE_ENGINE: Engine = {
  name: 'dynoxide',
  open: async () => {
    const dir = await mkdtemp(join(tmpdir(), 'village-engine-'));
    const started = await startDynamodb({ dir });
    if (!started.ok) throw new Error(started.message);
    const client = new DynamoDBClient({
      endpoint: started.dynamodb.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    });
    await ensureTables(client, TABLES);
    const tableNames = Object.fromEntries(TABLES.map(({ name }) => [name, name])) as Record<TableName, string>;
    return {
      db: dynamoDatabase({ client, tableNames, clock: systemClock, random: seededRandom() }),
      close: async () => {
        client.destroy();
        await started.dynamodb.stop();
        await rm(dir, { recursive: true, force: true });
      },
    };
  },
};
