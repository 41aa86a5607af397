import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { findDynoxide, startDynamodb } from '../../../local/dynamodb/dynoxide.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'village-ddb-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const MODULE = new URL('../../../local/dynamodb/dynoxide.ts', import.meta.url).href;

/** Pids whose command line names `needle`. */
const processesNaming = (needle: string): string[] =>
  readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandLine(pid).includes(needle));

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    // It ended between the listing and the reading.
    return '';
  }
}

describe.each([
  ['setpriv', '/usr/bin/setpriv'],
  ['the watchdog where setpriv is absent', '/nonexistent/setpriv'],
])('architecture §3, row DynamoDB: the process, with %s', (_, setprivPath) => {
  it('keeps its files private, stops, and is gone', async () => {
    const data = join(dir, 'db');
    const started = await startDynamodb({ dir: data, setprivPath });
    if (!started.ok) throw new Error(started.message);
    expect(statSync(data).mode & 0o777).toBe(0o700);
    expect(processesNaming(data)).not.toEqual([]);
    await started.dynamodb.stop();
    await vi.waitFor(() => expect(processesNaming(data)).toEqual([]));
    await started.dynamodb.stop();
  });

  it('dies with its parent, also by SIGKILL', async () => {
    const data = join(dir, 'db');
    const script = `import(${JSON.stringify(MODULE)}).then(async ({ startDynamodb }) => {
      const started = await startDynamodb(${JSON.stringify({ dir: data, setprivPath })});
      console.log(JSON.stringify(started.ok));
      setInterval(() => {}, 1000);
    })`;
    const parent = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'pipe'] });
    try {
      const [line] = await once(parent.stdout.setEncoding('utf8'), 'data');
      expect(line).toBe('true\n');
      expect(processesNaming(join(data, 'dynamodb.sqlite'))).not.toEqual([]);
    } finally {
      parent.kill('SIGKILL');
    }
    await vi.waitFor(() => expect(processesNaming(data)).toEqual([]), { timeout: 10_000 });
  });
});

describe('architecture §3, row DynamoDB: a platform without dynoxide', () => {
  it('says in one line what to do when the package is missing', async () => {
    expect(findDynoxide('@dynoxide/no-such-platform')).toBeUndefined();
    const started = await startDynamodb({ dir, binary: join(dir, 'absent'), setprivPath: '/nonexistent' });
    expect(started).toMatchObject({ ok: false, code: 'dynoxide_failed' });
    expect(started.ok ? '' : started.message).toMatch(/^[^\n]*--dynamodb-endpoint <url>\.$/);
  });

  it('says why when the data cannot be opened', async () => {
    await mkdir(join(dir, 'dynamodb.sqlite'));
    const started = await startDynamodb({ dir });
    expect(started).toMatchObject({
      ok: false,
      code: 'dynoxide_failed',
      message: expect.stringContaining('did not start ('),
    });
    expect(processesNaming(dir)).toEqual([]);
  });

  it('picks another port when somebody was faster, and never takes another server for its own', async () => {
    const other = createServer((_, response) => response.end('{"TableNames":[]}'));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const taken = (other.address() as AddressInfo).port;
    let asked = 0;
    const pickPort = async () => {
      asked += 1;
      if (asked === 1) return taken;
      const probe = createServer().listen(0, '127.0.0.1');
      await once(probe, 'listening');
      const { port } = probe.address() as AddressInfo;
      await new Promise((resolve) => probe.close(resolve));
      return port;
    };
    const started = await startDynamodb({ dir, pickPort });
    other.close();
    if (!started.ok) throw new Error(started.message);
    await started.dynamodb.stop();
    expect(started.dynamodb.port).not.toBe(taken);
    expect(asked).toBeGreaterThanOrEqual(2);
  });
});
