import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import {
  type ScriptedModel,
  startScriptedModel,
} from '../../../../runner-image/src/brokers/scripted-model/scripted-model.ts';
import { type Clock, systemClock } from '../../../../shared/clock.ts';
import type { ScenarioStep } from '../../../../shared/scenario.ts';

const KEY = 'dummy-key-of-the-session';
let model: ScriptedModel | undefined;
afterEach(async () => {
  await model?.stop();
  model = undefined;
});

async function start(
  steps: ScenarioStep[],
  over: Partial<Parameters<typeof startScriptedModel>[0]> = {},
): Promise<ScriptedModel> {
  model = await startScriptedModel({
    scenario: { turns: [{ steps }] },
    workspace: '/ws',
    key: KEY,
    clock: systemClock,
    ...over,
  });
  return model;
}
const post = (
  at: ScriptedModel,
  body: unknown,
  headers: Record<string, string> = { 'x-api-key': KEY },
  path = '/v1/messages?beta=true',
) => fetch(at.url + path, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) });
const Answer = z.looseObject({
  id: z.string(),
  content: z.array(
    z.looseObject({ text: z.string().optional(), input: z.looseObject({ command: z.string().optional() }).optional() }),
  ),
  usage: z.looseObject({ input_tokens: z.number(), output_tokens: z.number() }),
});
const answerOf = async (response: Promise<Response>) => Answer.parse(await (await response).json());
const prompt = (over: object = {}) => ({
  model: 'm',
  max_tokens: 9,
  tools: [{ name: 'Bash' }],
  messages: [{ role: 'user', content: 'go' }],
  ...over,
});

describe('the scripted model over HTTP', () => {
  it('says that a turn is done before its answer is, so that a crash in between forgets nothing', async () => {
    const done: number[] = [];
    const at = await start([{ say: 'hello' }], { onTurnDone: (turns) => done.push(turns) });
    const response = await post(at, prompt({ stream: true }));
    expect(await response.text()).toContain('message_stop');
    await answerOf(post(at, prompt()));
    expect(done).toEqual([1]);
    await at.stop();
    const again = await start([{ say: 'hello' }], { port: Number(new URL(at.url).port), turnsDone: 1 });
    expect([again.url, again.progress().exhausted]).toEqual([at.url, true]);
  });

  it('answers nothing while the session is held', async () => {
    let isHeld = true;
    const at = await start([{ say: 'hello' }], { isHeld: () => isHeld });
    const held = await post(at, prompt());
    expect([held.status, await held.json()]).toMatchObject([529, { error: { type: 'overloaded_error' } }]);
    isHeld = false;
    expect((await post(at, prompt())).status).toBe(200);
  });

  it('answers one JSON message with usage, and counts the turn as done', async () => {
    const onUsage = vi.fn();
    const at = await start([{ say: 'hello' }], { onUsage });
    expect(at.progress()).toEqual({ turnsDone: 0, turnsTotal: 1, exhausted: false });
    const body = await answerOf(post(at, prompt()));
    expect(body).toMatchObject({
      type: 'message',
      role: 'assistant',
      model: 'm',
      stop_reason: 'end_turn',
      content: [{ type: 'text', text: 'hello' }],
    });
    expect(body.usage.input_tokens).toBeGreaterThan(0);
    await vi.waitFor(() => expect(at.progress()).toEqual({ turnsDone: 1, turnsTotal: 1, exhausted: true }));
    expect(onUsage.mock.calls).toEqual([
      [
        {
          messageId: body.id,
          model: 'm',
          inputTokens: body.usage.input_tokens,
          outputTokens: body.usage.output_tokens,
        },
      ],
    ]);
  });

  it('streams the same message as events', async () => {
    const at = await start([{ say: 'I run.' }, { run: 'echo "ü"' }]);
    const response = await post(at, prompt({ stream: true }));
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const events = (await response.text())
      .trim()
      .split('\n\n')
      .map((event) => JSON.parse(event.split('\ndata: ')[1] ?? ''));
    expect(events.map((event) => event.type)).toEqual([
      'message_start',
      ...['content_block_start', 'content_block_delta', 'content_block_stop'],
      ...['content_block_start', 'content_block_delta', 'content_block_stop'],
      'message_delta',
      'message_stop',
    ]);
    expect(events[4].content_block).toMatchObject({ type: 'tool_use', name: 'Bash', input: {} });
    expect(JSON.parse(events[5].delta.partial_json).command).toBe('echo "ü"');
    expect(events[7].delta.stop_reason).toBe('tool_use');
    expect(at.progress().turnsDone).toBe(0);
  });

  it('gives a retried request the same answer, ids included', async () => {
    const at = await start([{ run: 'a' }, { run: 'b' }]);
    const first = await answerOf(post(at, prompt()));
    const again = await answerOf(post(at, prompt()));
    expect(again).toEqual(first);
    expect(again.content[0]?.input?.command).toBe('a');
  });

  it('answers side calls without consuming a step', async () => {
    const at = await start([{ say: 'first' }]);
    const title = await answerOf(post(at, prompt({ tools: [], output_config: { format: { type: 'json_schema' } } })));
    expect(JSON.parse(title.content[0]?.text ?? '')).toEqual({ title: 'Scripted session' });
    expect((await answerOf(post(at, prompt()))).content[0]?.text).toBe('first');
  });

  it('waits by the injected clock, and keeps a long stream alive meanwhile', async () => {
    const delays: number[] = [];
    const clock: Clock = {
      ...systemClock,
      after: (delayMs, run) => {
        delays.push(delayMs);
        queueMicrotask(run);
        return () => undefined;
      },
    };
    const at = await start([{ waitMs: 25_000 }, { say: 'late' }], { clock });
    const text = await (await post(at, prompt({ stream: true }))).text();
    expect(delays).toEqual([10_000, 10_000, 5_000]);
    expect(text.match(/event: ping/g)).toHaveLength(2);
    expect(text).toContain('late');
  });

  it('does not count a turn whose answer was hung up on', async () => {
    const waiting = Promise.withResolvers<void>();
    const cancelled = Promise.withResolvers<void>();
    const clock: Clock = {
      ...systemClock,
      after: () => {
        waiting.resolve();
        return () => cancelled.resolve();
      },
    };
    const at = await start([{ waitMs: 60_000 }, { say: 'never heard' }], { clock });
    const hangUp = new AbortController();
    const call = fetch(`${at.url}/v1/messages`, {
      method: 'POST',
      headers: { 'x-api-key': KEY },
      body: JSON.stringify(prompt()),
      signal: hangUp.signal,
    });
    await waiting.promise;
    hangUp.abort();
    await expect(call).rejects.toThrow();
    await cancelled.promise;
    expect(at.progress().turnsDone).toBe(0);
  });

  it('refuses a call without the key, and takes it as a bearer token too', async () => {
    const at = await start([{ say: 'hi' }]);
    for (const headers of [{}, { 'x-api-key': 'other' }, { authorization: 'Bearer nope' }]) {
      const response = await post(at, prompt(), headers as Record<string, string>);
      expect(response.status).toBe(401);
      expect(await response.json()).toMatchObject({ type: 'error', error: { type: 'authentication_error' } });
    }
    expect((await post(at, prompt(), { authorization: `Bearer ${KEY}` })).status).toBe(200);
  });

  it('answers bad bodies and unknown paths as the real API does', async () => {
    const at = await start([]);
    expect((await post(at, 'not json')).status).toBe(400);
    expect(await (await post(at, { model: 'm', messages: [{ role: 'robot', content: 'x' }] })).json()).toMatchObject({
      error: { type: 'invalid_request_error', message: expect.stringContaining('messages.0.role') },
    });
    expect((await post(at, {}, { 'x-api-key': KEY }, '/v1/complete')).status).toBe(404);
    const large = await post(at, Buffer.alloc(33 * 1024 * 1024, 32).toString());
    expect(large.status).toBe(413);
  });

  it('answers the probes of a CLI', async () => {
    const at = await start([]);
    expect((await fetch(`${at.url}/`, { method: 'HEAD' })).status).toBe(200);
    expect(await (await post(at, prompt(), { 'x-api-key': KEY }, '/v1/messages/count_tokens')).json()).toEqual({
      input_tokens: expect.any(Number),
    });
    expect(await (await fetch(`${at.url}/v1/models`, { headers: { 'x-api-key': KEY } })).json()).toMatchObject({
      data: [{ id: 'scripted' }],
    });
  });
});
