/** The real Claude Code over two epochs of its session: the conversation goes on where it was, and the model sees it. */
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startScriptedModel } from '../../runner-image/src/brokers/scripted-model/scripted-model.ts';
import { systemClock } from '../../shared/clock.ts';
import type { RunnerCredentials } from '../../shared/http.ts';
import type { Scenario } from '../../shared/scenario.ts';
import { claudeCli } from './claude-support.ts';
import { type RunnerSetup, SESSION_ID, startRunnerInProcess } from './runner-fixture.ts';

type Started = Awaited<ReturnType<typeof startRunnerInProcess>>;
let file = '';
let skip: string | undefined;
const cleanUps: (() => Promise<void> | void)[] = [];
const logs: (() => string)[] = [];

beforeAll(async () => {
  const cli = await claudeCli();
  if (cli.kind === 'ready') file = cli.file;
  else skip = cli.reason;
}, 900_000);
beforeEach((test) => {
  if (skip !== undefined) test.skip(skip);
});
afterEach(async (context) => {
  if (context.task.result?.state === 'fail') for (const log of logs) console.log(log().slice(-8_000));
  logs.length = 0;
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A scripted model behind an address of its own, as a vendor's would be: it tells what was asked on the wire. */
const watchedModel = async (scenario: Scenario, workspace: () => string) => {
  const key = 'key-of-the-vendor-0123456789';
  const asked: string[] = [];
  const model = await startScriptedModel({ scenario, workspace: workspace(), key, clock: systemClock });
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    if (request.url?.includes('/messages') && body.includes('"tools":[{')) asked.push(body.toString('utf8'));
    const { host: _host, connection: _connection, 'content-length': _length, ...headers } = request.headers;
    try {
      const answer = await fetch(`${model.url}${request.url}`, {
        method: request.method ?? 'GET',
        headers: headers as Record<string, string>,
        ...(body.length > 0 ? { body } : {}),
      });
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' });
      for await (const piece of answer.body ?? []) response.write(piece);
      response.end();
    } catch {
      response.destroy();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUps.push(async () => {
    server.closeAllConnections();
    server.close();
    await model.stop();
  });
  const { port } = server.address() as AddressInfo;
  const access: RunnerCredentials['model'] = { kind: 'anthropic', baseUrl: `http://127.0.0.1:${port}`, apiKey: key };
  return { asked, access };
};

const start = async (setup: RunnerSetup): Promise<Started> => {
  const started = await startRunnerInProcess({ ...setup, env: { CLAUDE_CODE_PATH: file } });
  cleanUps.push(() => started.stop());
  logs.push(started.log);
  return started;
};
const seen = ({ control }: Started, what: string, look: (event: Record<string, unknown>) => boolean) =>
  control.until(what, () => control.events.find((event) => look(event)));
const last = ({ control }: Started) => control.events.at(-1);
const ofType = ({ control }: Started, type: string) => control.events.filter((event) => event.type === type);
const workspaceOf = ({ root }: Started): string => join(root, 'village/workspaces', SESSION_ID);
const submit = ({ control }: Started, data: string): void => {
  const epoch = control.sessions[0]?.epoch ?? 0;
  const lane = { sessionId: SESSION_ID, epoch, viewerId: 'api-input', source: 'api', controlTerm: 0 } as const;
  control.post({ type: 'input', ...lane, inputSeq: 1, data, submit: true });
};

describe('the real Claude Code over two epochs', () => {
  it('drained between turns: the conversation goes on, the prompt is not given again, and the next turn plays', async () => {
    const turns = [
      { steps: [{ say: 'I write it.' }, { write: { path: 'one.txt', content: 'one\n' } }, { say: 'First is done.' }] },
      { steps: [{ run: 'cat one.txt > two.txt' }, { say: 'Second is done.' }] },
    ];
    const config = { provider: 'claude_code', model: 'scripted', endWhenDone: true } as const;
    const credentials = { model: { kind: 'scripted', scenario: { turns } } as const, inputs: { prompt: 'Write one.' } };
    const first = await start({ config, credentials });
    await seen(first, 'the turn', ({ type }) => type === 'turn_finished');
    await seen(first, 'its checkpoint', ({ type }) => type === 'workspace_checkpointed');
    first.drain();
    expect(await first.exited).toBe(0);
    expect(first.control.problems).toEqual([]);
    expect(last(first)).toMatchObject({ type: 'epoch_drained', checkpointKey: expect.any(String) });
    const key = Buffer.concat([...first.control.objects.values()]).toString('latin1');
    expect(key).not.toContain('sk-village-');

    const second = await start({ config, credentials, after: first });
    await seen(second, 'running', ({ toState }) => toState === 'running');
    expect(readFileSync(join(workspaceOf(second), 'one.txt'), 'utf8')).toBe('one\n');
    submit(second, 'Now the second.');
    expect(await second.exited).toBe(0);
    expect(second.control.problems).toEqual([]);
    expect(ofType(second, 'turn_started').map(({ turn, prompt }) => [turn, prompt])).toEqual([[2, 'Now the second.']]);
    expect(ofType(second, 'input_received').filter(({ source }) => source === 'prompt')).toEqual([]);
    expect(ofType(second, 'provider_message').map(({ text }) => text)).toEqual(['Second is done.']);
    // What was said before is not told, or counted, again.
    const ids = (of: Started) => ofType(of, 'model_usage').map(({ messageId }) => messageId);
    expect(ids(second).filter((id) => ids(first).includes(id))).toEqual([]);
    expect(last(second)).toMatchObject({ state: 'completed', reason: { code: 'done' } });
  });

  it('drained in mid-turn with a prompt that waits in the CLI: the next epoch is given it too', async () => {
    const wait = 'while [ ! -e never ]; do sleep 0.2; done';
    const scenario: Scenario = {
      turns: [
        { steps: [{ run: `echo half > half.txt; ${wait}` }, { say: 'Never said.' }] },
        { steps: [{ say: 'Nor this.' }] },
      ],
    };
    const config = { provider: 'claude_code', endWhenDone: true } as const;
    const inputs = { prompt: 'Begin.' };
    const place = { root: '' };
    const model = await watchedModel(scenario, () => place.root || '/nowhere');
    const first = await start({ config, credentials: { model: model.access, inputs } });
    await first.control.until('the tool', () => existsSync(join(workspaceOf(first), 'half.txt')));
    submit(first, 'Then say kumquat.');
    await seen(first, 'the prompt in the CLI', ({ role, text }) => role === 'user' && text === 'Then say kumquat.');
    first.drain();
    expect(await first.exited).toBe(0);
    expect(last(first)).toMatchObject({ type: 'epoch_drained', checkpointKey: expect.any(String) });

    place.root = workspaceOf(first);
    const next = await watchedModel(
      { turns: [{ steps: [{ say: 'On.' }] }, { steps: [{ say: 'Kumquat.' }] }] },
      () => place.root,
    );
    const second = await start({ config, credentials: { model: next.access, inputs }, after: first });
    expect(await second.exited).toBe(0);
    expect(last(second)).toMatchObject({ state: 'completed', reason: { code: 'done' } });
    const asked = [
      ...ofType(second, 'turn_started').map(({ prompt }) => prompt),
      ...ofType(second, 'provider_message').map(({ text }) => text),
    ];
    expect(asked.filter((text) => text === 'Then say kumquat.')).toHaveLength(1);
  });

  it('drained in mid-turn: it is asked to go on, and the model sees what was said before', async () => {
    const place = { root: '' };
    const scenario = {
      turns: [
        {
          steps: [
            { run: 'echo half > half.txt; while [ ! -e never ]; do sleep 0.2; done' },
            { write: { path: 'rest.txt', content: 'rest\n' } },
            { say: 'Whole.' },
          ],
        },
      ],
    };
    const config = { provider: 'claude_code', endWhenDone: true } as const;
    const inputs = { prompt: 'Remember the word kumquat.' };
    const model = await watchedModel(scenario, () => place.root || '/nowhere');
    const first = await start({ config, credentials: { model: model.access, inputs } });
    await first.control.until('the tool', () => {
      try {
        return readFileSync(join(workspaceOf(first), 'half.txt'), 'utf8') === 'half\n' || undefined;
      } catch {
        return undefined;
      }
    });
    first.drain();
    expect(await first.exited).toBe(0);
    expect(last(first)).toMatchObject({ type: 'epoch_drained', checkpointKey: expect.any(String) });

    place.root = workspaceOf(first);
    const next = await watchedModel(scenario, () => place.root);
    const second = await start({ config, credentials: { model: next.access, inputs }, after: first });
    expect(await second.exited).toBe(0);
    expect(second.control.problems).toEqual([]);
    const [turn] = ofType(second, 'turn_started');
    expect(turn).toMatchObject({ turn: 1, prompt: expect.stringContaining('moved to another machine') });
    expect(ofType(second, 'provider_message').map(({ text }) => text)).toEqual(['Whole.']);
    expect(next.asked[0]).toContain('kumquat');
    expect(next.asked[0]).toContain('half.txt');
    expect(next.asked.join('\n').split('Remember the word kumquat.').length).toBe(next.asked.length + 1);
    expect(last(second)).toMatchObject({ state: 'completed', reason: { code: 'done' } });
    const diff = second.control.events.findLast(({ type }) => type === 'diff_summary');
    expect(JSON.stringify(diff?.files)).toContain('rest.txt');
  });
});
