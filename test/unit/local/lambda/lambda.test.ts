import { describe, expect, it } from 'vitest';
import type { FunctionSpec } from '../../../../infra/topology.ts';
import { CALM, createChaos } from '../../../../local/chaos.ts';
import { createLambda, type LambdaOptions } from '../../../../local/lambda/lambda.ts';
import { PAYLOAD_MAX_BYTES } from '../../../../local/lambda/quotas.ts';
import type { LambdaContext, LambdaHandler } from '../../../../local/lambda/types.ts';
import { systemRandom } from '../../../../shared/clock.ts';
import { ManualClock, settle } from '../manual-clock.ts';

const spec = (over: Partial<FunctionSpec> = {}): FunctionSpec => ({
  name: 'api',
  entry: 'entries/api.ts',
  memoryMb: 512,
  timeoutMs: 3_000,
  begins: 'traces',
  grants: [],
  ...over,
});

function lambdaWith(handler: LambdaHandler, over: Partial<LambdaOptions> = {}, specs = [spec()]) {
  const clock = new ManualClock();
  const logged: string[] = [];
  const lambda = createLambda({
    functions: specs,
    load: async () => ({ handler }),
    clock,
    random: systemRandom,
    log: (message) => logged.push(message),
    ...over,
  });
  return { lambda, clock, logged };
}

/** A handler that stays until released. */
function gate() {
  const releases: (() => void)[] = [];
  let calls = 0;
  const handler: LambdaHandler = () => {
    calls += 1;
    return new Promise<void>((resolve) => releases.push(resolve));
  };
  const releaseAll = () => {
    for (const release of releases.splice(0)) release();
  };
  return { handler, calls: () => calls, releaseAll };
}

describe('invoke', () => {
  it('passes copies in and out, as JSON', async () => {
    const kept: unknown[] = [];
    const answer = { list: [1], missing: undefined };
    const { lambda } = lambdaWith((event) => {
      kept.push(event);
      return answer;
    });
    const event = { at: new Date(0), nested: { a: 1 } };
    const result = await lambda.invoke('api', event, { source: 'http' });
    expect(kept[0]).toEqual({ at: '1970-01-01T00:00:00.000Z', nested: { a: 1 } });
    event.nested.a = 2;
    answer.list.push(2);
    expect(kept[0]).toMatchObject({ nested: { a: 1 } });
    expect(result).toEqual({ ok: true, payload: { list: [1] } });
  });

  it('turns no answer into null', async () => {
    const { lambda } = lambdaWith(() => undefined);
    expect(await lambda.invoke('api', {}, { source: 'http' })).toEqual({ ok: true, payload: null });
  });

  it('gives the context of AWS, with the time that is left', async () => {
    const seen: LambdaContext[] = [];
    const { lambda, clock } = lambdaWith(async (_event, context) => {
      seen.push(context);
      await new Promise<void>((resolve) => clock.after(1_000, resolve));
      return context.getRemainingTimeInMillis();
    });
    const pending = lambda.invoke('api', {}, { source: 'http' });
    await clock.advance(1_000);
    expect(await pending).toEqual({ ok: true, payload: 2_000 });
    expect(seen[0]).toMatchObject({
      functionName: 'api',
      invokedFunctionArn: 'arn:aws:lambda:us-east-1:000000000000:function:api',
      memoryLimitInMB: '512',
    });
    expect(seen[0]?.awsRequestId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('reports what a handler throws, synchronously or not', async () => {
    const { lambda, logged } = lambdaWith(() => {
      throw new TypeError('broken');
    });
    const expected = { ok: false, kind: 'error', errorType: 'TypeError', message: 'broken' };
    expect(await lambda.invoke('api', {}, { source: 'http' })).toEqual(expected);
    const async_ = lambdaWith(() => Promise.reject(new TypeError('broken')));
    expect(await async_.lambda.invoke('api', {}, { source: 'http' })).toEqual(expected);
    expect(logged).toEqual(['invocation failed']);
  });

  it('gives up at the time-out and frees the place', async () => {
    const waiting = gate();
    const { lambda, clock } = lambdaWith(waiting.handler, {}, [spec({ reservedConcurrency: 1 })]);
    const pending = lambda.invoke('api', {}, { source: 'http' });
    await clock.advance(3_000);
    expect(await pending).toMatchObject({ ok: false, kind: 'timeout', errorType: 'Sandbox.Timedout' });
    const second = lambda.invoke('api', {}, { source: 'http' });
    await settle();
    expect(waiting.calls()).toBe(2);
    waiting.releaseAll();
    expect(await second).toMatchObject({ ok: true });
    expect(clock.pending).toBe(0);
  });

  it('throttles beyond reserved concurrency, per function', async () => {
    const waiting = gate();
    const specs = [spec({ reservedConcurrency: 2 }), spec({ name: 'reap' })];
    const { lambda } = lambdaWith(waiting.handler, {}, specs);
    const running = [1, 2].map(() => lambda.invoke('api', {}, { source: 'http' }));
    expect(await lambda.invoke('api', {}, { source: 'http' })).toMatchObject({ kind: 'throttled' });
    const other = lambda.invoke('reap', {}, { source: 'schedule' });
    await settle();
    expect(waiting.calls()).toBe(3);
    waiting.releaseAll();
    await Promise.all([...running, other]);
    const after = lambda.invoke('api', {}, { source: 'http' });
    await settle();
    waiting.releaseAll();
    expect(await after).toMatchObject({ ok: true });
  });

  it('refuses payloads over 6 MB both ways, and answers without JSON form', async () => {
    const { lambda } = lambdaWith((event) => event);
    const big = 'x'.repeat(PAYLOAD_MAX_BYTES - 2);
    expect(await lambda.invoke('api', big, { source: 'http' })).toMatchObject({ ok: true });
    expect(await lambda.invoke('api', `${big}x`, { source: 'http' })).toMatchObject({
      kind: 'error',
      errorType: 'RequestTooLargeException',
    });
    const answers = lambdaWith(() => `${big}x`);
    expect(await answers.lambda.invoke('api', {}, { source: 'http' })).toMatchObject({
      errorType: 'Function.ResponseSizeTooLarge',
    });
    const odd = lambdaWith(() => ({ big: 1n }));
    expect(await odd.lambda.invoke('api', {}, { source: 'http' })).toMatchObject({ errorType: 'Runtime.MarshalError' });
  });

  it('loads an entry once, and again after a failed load', async () => {
    let loads = 0;
    const { lambda } = lambdaWith(() => 1, {
      load: async () => {
        loads += 1;
        if (loads === 1) throw new Error('syntax');
        return { handler: () => 'fine' };
      },
    });
    expect(await lambda.invoke('api', {}, { source: 'http' })).toMatchObject({
      errorType: 'Runtime.ImportModuleError',
    });
    expect(await lambda.invoke('api', {}, { source: 'http' })).toEqual({ ok: true, payload: 'fine' });
    await lambda.invoke('api', {}, { source: 'http' });
    expect(loads).toBe(2);
  });

  it('throws for a function that the topology does not have', async () => {
    const { lambda } = lambdaWith(() => 1);
    await expect(lambda.invoke('nobody', {}, { source: 'http' })).rejects.toThrow('no function "nobody"');
  });

  it('waits for an injected cold start', async () => {
    let calls = 0;
    const { lambda, clock } = lambdaWith(() => (calls += 1), { chaos: createChaos({ ...CALM, cold: 1 }) });
    const pending = lambda.invoke('api', {}, { source: 'http' });
    await clock.advance(49);
    expect(calls).toBe(0);
    await clock.advance(301);
    expect(await pending).toEqual({ ok: true, payload: 1 });
  });
});

describe('invokeAsync', () => {
  it('tries an event twice more after errors, then drops it with a log line', async () => {
    let calls = 0;
    const { lambda, clock, logged } = lambdaWith(() => {
      calls += 1;
      throw new Error('always');
    });
    expect(lambda.invokeAsync('api', { a: 1 }, { source: 'event' })).toBe('accepted');
    await clock.advance(59_999);
    expect(calls).toBe(1);
    await clock.advance(1);
    expect(calls).toBe(2);
    await clock.advance(120_000);
    expect(calls).toBe(3);
    await lambda.idle();
    await clock.advance(600_000);
    expect(calls).toBe(3);
    expect(logged.at(-1)).toContain('dropped');
  });

  it('waits while throttled without using up its tries', async () => {
    const waiting = gate();
    const { lambda, clock } = lambdaWith(waiting.handler, {}, [spec({ reservedConcurrency: 1, timeoutMs: 900_000 })]);
    const first = lambda.invoke('api', {}, { source: 'http' });
    lambda.invokeAsync('api', {}, { source: 'event' });
    await clock.advance(60_000);
    expect(waiting.calls()).toBe(1);
    waiting.releaseAll();
    await first;
    await clock.advance(64_000);
    expect(waiting.calls()).toBe(2);
    waiting.releaseAll();
    await lambda.idle();
  });

  it('keeps a copy of the event and refuses one over 1 MB', async () => {
    const seen: unknown[] = [];
    const { lambda, clock } = lambdaWith((event) => seen.push(event));
    const event = { a: 1 };
    lambda.invokeAsync('api', event, { source: 'event' });
    event.a = 2;
    await clock.advance(0);
    expect(seen).toEqual([{ a: 1 }]);
    expect(lambda.invokeAsync('api', 'x'.repeat(1024 * 1024), { source: 'event' })).toBe('too_large');
  });

  it('delivers twice under chaos', async () => {
    let calls = 0;
    const { lambda, clock } = lambdaWith(() => (calls += 1), { chaos: createChaos({ ...CALM, duplicate: 1 }) });
    lambda.invokeAsync('api', {}, { source: 'event' });
    await clock.advance(0);
    expect(calls).toBe(2);
  });

  it('forgets waiting events on stop and waits for running handlers', async () => {
    const waiting = gate();
    const { lambda, clock } = lambdaWith(waiting.handler);
    lambda.invokeAsync('api', {}, { source: 'event' });
    await clock.advance(0);
    lambda.invokeAsync('api', {}, { source: 'event' });
    let stopped = false;
    const stopping = lambda.stop(1_000).then(() => {
      stopped = true;
    });
    await settle();
    expect(stopped).toBe(false);
    waiting.releaseAll();
    await stopping;
    expect(waiting.calls()).toBe(1);
    expect(lambda.invokeAsync('api', {}, { source: 'event' })).toBe('queue_full');
    expect(clock.pending).toBe(0);
  });
});
