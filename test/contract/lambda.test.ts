/** The local Lambda with real modules, a real clock and middy, which every entry of ours wears. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import middy from '@middy/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FunctionSpec } from '../../infra/topology.ts';
import { entryLoader } from '../../local/lambda/entry-loader.ts';
import { createLambda } from '../../local/lambda/lambda.ts';
import type { LambdaHandler, LoadEntry } from '../../local/lambda/types.ts';
import { systemClock, systemRandom } from '../../shared/clock.ts';

const spec = (over: Partial<FunctionSpec>): FunctionSpec => ({
  name: 'api',
  entry: 'entry.mjs',
  memoryMb: 512,
  timeoutMs: 5_000,
  begins: 'traces',
  grants: [],
  ...over,
});
const lambdaOf = (load: LoadEntry, over: Partial<FunctionSpec> = {}) =>
  createLambda({ functions: [spec(over)], load, clock: systemClock, random: systemRandom });

describe('entries on disk', () => {
  let dir = '';
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'entries-'));
    await writeFile(
      join(dir, 'entry.mjs'),
      'let calls = 0;\nexport const handler = async (event, context) => ({ event, name: context.functionName, calls: ++calls });\n',
    );
    await writeFile(join(dir, 'empty.mjs'), 'export const other = 1;\n');
  });
  afterAll(() => rm(dir, { recursive: true }));

  it('are loaded once and invoked with event and context', async () => {
    const lambda = lambdaOf(entryLoader(dir));
    const results = [];
    for (let n = 0; n < 2; n += 1) results.push(await lambda.invoke('api', { n }, { source: 'http' }));
    expect(results).toEqual([
      { ok: true, payload: { event: { n: 0 }, name: 'api', calls: 1 } },
      { ok: true, payload: { event: { n: 1 }, name: 'api', calls: 2 } },
    ]);
  });

  it.each([
    ['missing.mjs', 'missing.mjs'],
    ['empty.mjs', 'exports no function "handler"'],
  ])('that cannot serve are named: %s', async (entry, message) => {
    const result = await lambdaOf(entryLoader(dir), { entry }).invoke('api', {}, { source: 'http' });
    expect(result).toMatchObject({ ok: false, errorType: 'Runtime.ImportModuleError' });
    expect(result.ok ? '' : result.message).toContain(message);
  });
});

describe('entries in middy', () => {
  const wearing = (run: (event: unknown) => Promise<unknown>): LoadEntry => {
    const handler = middy(run);
    // AWS's type names a callback, which Node runtimes no longer pass.
    return async () => ({ handler: handler as unknown as LambdaHandler });
  };

  it('answer, fail with their error, and are cut off at their time-out', async () => {
    const lambda = lambdaOf(wearing(async (event) => ({ statusCode: 200, event })));
    expect(await lambda.invoke('api', { a: 1 }, { source: 'http' })).toEqual({
      ok: true,
      payload: { statusCode: 200, event: { a: 1 } },
    });
    const failing = lambdaOf(wearing(() => Promise.reject(new RangeError('no'))));
    expect(await failing.invoke('api', {}, { source: 'http' })).toMatchObject({
      errorType: 'RangeError',
      message: 'no',
    });
    // middy gives up five milliseconds before Lambda would.
    const hanging = lambdaOf(
      wearing(() => new Promise(() => {})),
      { timeoutMs: 40 },
    );
    expect(await hanging.invoke('api', {}, { source: 'http' })).toMatchObject({ ok: false, errorType: 'TimeoutError' });
  });

  it('that hang without middy are cut off at their time-out by the real clock', async () => {
    const lambda = lambdaOf(async () => ({ handler: () => new Promise(() => {}) }), { timeoutMs: 20 });
    expect(await lambda.invoke('api', {}, { source: 'http' })).toMatchObject({ ok: false, kind: 'timeout' });
  });
});
