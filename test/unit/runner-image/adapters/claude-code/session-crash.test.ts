import { describe, expect, it, vi } from 'vitest';
import { claudeCodeAdapter } from '../../../../../runner-image/src/adapters/claude-code/adapter.ts';
import { fakePorts } from '../fake-ports.ts';
import {
  adopt,
  assistant,
  becomeReady,
  configOf,
  crash,
  hook,
  hookAs,
  ports,
  session,
  start,
  tool,
  transcript,
  types,
  usePorts,
} from './session-support.ts';

describe('a Claude Code session after a crash of the runner', () => {
  it('proves its gate again if it was not proven, and takes no tool before', async () => {
    await start();
    await crash();
    expect(await hook('PreToolUse', tool())).toBeUndefined();
    expect(await session.sendInput('early')).toMatchObject({ kind: 'refused' });
    await becomeReady();
    expect(types()).toEqual(['PROVIDER_STARTED', 'GATE_PROVEN', 'PROVIDER_READY']);
    expect(await hook('PreToolUse', tool())).toContain('"allow"');
  });

  it('fails safely when the proof does not come, in its whole time', async () => {
    await start();
    await ports.clock.advance(19_000);
    await crash();
    await ports.clock.advance(19_999);
    expect(ports.kills).toBe(0);
    await ports.clock.advance(1);
    expect(await session.ready).toMatchObject({ kind: 'gate_unproven' });
    await session.exited;
    expect([types(), ports.kills]).toEqual([['PROVIDER_STARTED', 'GATE_LOST', 'PROVIDER_EXITED'], 1]);
  });

  it('kills the CLI whose gate was lost, where the runner died before it could', async () => {
    await start();
    await becomeReady();
    const saved = { ...ports.saved, gate: { state: 'lost', isReady: true, lostReason: 'a tool ran unasked' } };
    ports.exit({ kind: 'exited', exitCode: 0, signal: null });
    await session.exited;
    usePorts(fakePorts());
    await adopt(saved);
    expect(await session.ready).toMatchObject({ kind: 'gate_unproven', reason: 'a tool ran unasked' });
    await session.exited;
    expect([types(), ports.kills]).toEqual([['PROVIDER_EXITED'], 1]);
  });

  it('stands on a proven gate, and answers a repeated request as before, with its events once', async () => {
    await start();
    await becomeReady();
    const id = crypto.randomUUID();
    const asked = await hookAs(id, 'PreToolUse', tool());
    await crash();
    expect(await session.ready).toEqual({ kind: 'ready' });
    expect(await hookAs(id, 'PreToolUse', tool())).toBe(asked);
    // The same call by another client too, but not another call under its id.
    expect(await hook('PreToolUse', tool())).toBe(asked);
    expect(types().filter((type) => type === 'TOOL_REQUESTED')).toHaveLength(1);
    await hook('PreToolUse', tool({ tool_input: { command: 'other' } }));
    expect(types().filter((type) => type === 'TOOL_REQUESTED')).toHaveLength(2);
    await crash();
    await hook('PostToolUse', tool({ tool_input: { command: 'other' } }));
    expect([types().at(-1), ports.kills]).toEqual(['HINT_DIFF_AVAILABLE', 0]);
    expect(types().filter((type) => type === 'TOOL_FINISHED')).toHaveLength(1);
  });

  it('repeats a denial, and neither allows nor denies by itself', async () => {
    await start({ decide: () => ({ kind: 'deny', rule: 'r', reason: 'not that' }) });
    await becomeReady();
    const denied = await hook('PreToolUse', tool());
    await crash();
    expect(await hook('PreToolUse', tool())).toBe(denied);
    expect(types().filter((type) => type === 'TOOL_DENIED')).toHaveLength(1);
  });

  it('holds an answer until nothing holds the session and its events are kept', async () => {
    await start();
    await becomeReady();
    const free = Promise.withResolvers<void>();
    ports.free = free.promise;
    let answer: string | undefined | 'none' = 'none';
    const asking = hook('PreToolUse', tool()).then((stdout) => {
      answer = stdout;
    });
    await ports.clock.advance(60_000);
    expect([answer, types().includes('TOOL_REQUESTED')]).toEqual(['none', false]);
    free.resolve();
    await asking;
    expect(answer).toContain('"allow"');
  });

  it('goes on counting turns, and with what waits behind the running one', async () => {
    await start();
    await becomeReady();
    for (const prompt of ['a', 'b']) await hook('UserPromptSubmit', { prompt });
    await crash();
    const id = crypto.randomUUID();
    await hookAs(id, 'Stop', { last_assistant_message: 'said' });
    await crash();
    await hookAs(id, 'Stop', { last_assistant_message: 'said' });
    await hook('Stop');
    const told = ports.events.flatMap((event) => ('turn' in event ? [`${event.type} ${event.turn}`] : []));
    expect(told).toEqual(['TURN_STARTED 1', 'TURN_FINISHED 1', 'TURN_STARTED 2', 'TURN_FINISHED 2']);
    expect(
      ports.events.filter((event) => event.type === 'PROVIDER_MESSAGE' && event.role === 'assistant'),
    ).toHaveLength(1);
    expect(ports.events.at(-1)).toEqual({ type: 'PROVIDER_IDLE', turnsDone: 2 });
  });

  it('asks for more after an answer that the crash cut off, once and only then', async () => {
    await start();
    await becomeReady();
    await hook('UserPromptSubmit', { prompt: 'a' });
    await hook('StopFailure', { error: 'overloaded' });
    await hook('UserPromptSubmit', { prompt: 'b' });
    await crash();
    await hook('StopFailure', { error: 'lost' });
    await hook('UserPromptSubmit', { prompt: 'c' });
    await hook('StopFailure', { error: 'overloaded' });
    expect(ports.events.filter(({ type }) => type === 'TURN_CUT')).toEqual([{ type: 'TURN_CUT', turn: 2 }]);
  });

  it('reads the transcript on where its events ended', async () => {
    await start();
    const lines = [assistant('a', 1), assistant('b', 3)];
    const file = transcript(...lines);
    ports.screen = '❯';
    await hook('SessionStart', { transcript_path: file });
    await ports.clock.advance(1_000);
    await vi.waitFor(() => expect(types().filter((type) => type === 'MODEL_USAGE')).toHaveLength(2));
    await crash();
    transcript(...lines, assistant('b', 3), assistant('c', 4));
    await ports.clock.advance(1_000);
    await vi.waitFor(() => expect(types().filter((type) => type === 'MODEL_USAGE')).toHaveLength(3));
    const usage = ports.events.flatMap((event) => (event.type === 'MODEL_USAGE' ? [event.messageId] : []));
    expect(usage).toEqual(['a', 'b', 'c']);
  });

  it('types a prompt once: what was pasted is not pasted again, what was reported is not submitted again', async () => {
    await start();
    await becomeReady();
    const dying = session.sendInput('do it', 1);
    await ports.clock.advance(100);
    expect(ports.typed).toEqual(['\x1b[200~do it\x1b[201~']);
    await crash();
    const again = session.sendInput('do it', 1);
    // It may have been submitted: its report is waited for first.
    await ports.clock.advance(2_000 + 250);
    expect(ports.typed).toEqual(['\x1b[200~do it\x1b[201~', '\r']);
    await hook('UserPromptSubmit', { prompt: 'do it' });
    expect(await again).toEqual({ kind: 'sent', confirmed: true });
    await crash();
    expect(await session.sendInput('do it', 1)).toEqual({ kind: 'sent', confirmed: true });
    expect(ports.typed).toHaveLength(2);
    void dying;
  });

  it('says once that the CLI has ended', async () => {
    await start();
    await becomeReady();
    ports.exit({ kind: 'exited', exitCode: 0, signal: null });
    await session.exited;
    await crash();
    await session.exited;
    expect(types().filter((type) => type === 'PROVIDER_EXITED')).toHaveLength(1);
  });

  it('is refused with what does not fit its schema', async () => {
    await start();
    const adopted = await claudeCodeAdapter.adoptSession(configOf(), { nonsense: true }, fakePorts());
    expect(adopted).toMatchObject({ kind: 'refused', hint: expect.any(String) });
  });
});
