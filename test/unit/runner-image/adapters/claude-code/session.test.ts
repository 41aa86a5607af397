import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { claudeCodeAdapter } from '../../../../../runner-image/src/adapters/claude-code/adapter.ts';
import {
  adoptClaudeSession,
  startClaudeSession,
} from '../../../../../runner-image/src/adapters/claude-code/session.ts';
import type { ProviderSession } from '../../../../../runner-image/src/adapters/contract.ts';
import type { ToolPolicy } from '../../../../../runner-image/src/policy/contract.ts';
import { type FakePorts, fakePorts } from '../fake-ports.ts';

const ID = '11111111-2222-4333-8444-555555555555';
let folder: string;
let ports: FakePorts;
let session: ProviderSession;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'village-session-'));
});
afterEach(async () => {
  ports.exit({ kind: 'exited', exitCode: 0, signal: null });
  await session.exited;
  rmSync(folder, { recursive: true, force: true });
});

const configOf = () => ({
  file: '/cli',
  cliVersion: '2.1.330',
  workspace: '/ws',
  privateDir: folder,
  path: '/usr/bin',
  cliInstanceId: ID,
});
const start = async (policy?: ToolPolicy) => {
  ports = fakePorts(policy);
  session = await startClaudeSession({
    config: configOf(),
    model: { baseUrl: 'http://127.0.0.1:1', dummyKey: 'dummy-key' },
    ports,
  });
};

/** The runner process dies, and the next one takes the CLI up on the same socket. */
const crash = async () => {
  const before = ports;
  ports = before.crash();
  ports.screen = before.screen;
  session = await adoptClaudeSession({ config: configOf(), ports }, before.saved);
};

/** One hook as the client sends it; undefined when the runner refused, or nobody answered. */
const hookAs = (id: string, name: string, over: object = {}): Promise<string | undefined> =>
  new Promise((resolve) => {
    const body = Buffer.from(JSON.stringify({ hook_event_name: name, session_id: ID, ...over }));
    const socket = connect(join(folder, 'hook.sock'));
    let answer = '';
    socket.on('error', () => undefined);
    socket.on('data', (text) => {
      answer += text;
    });
    socket.on('close', () => resolve(answer === '' ? undefined : JSON.parse(answer).stdout));
    socket.write(`${body.length} ${id}\n`);
    socket.write(body);
  });
const hook = (name: string, over: object = {}) => hookAs(crypto.randomUUID(), name, over);
const tool = (over: object = {}) => ({
  cwd: '/ws',
  tool_name: 'Bash',
  tool_input: { command: 'ls' },
  tool_use_id: 't1',
  ...over,
});
const becomeReady = async () => {
  ports.screen = '❯ ';
  await hook('SessionStart');
  await session.ready;
};
const types = () => ports.events.map(({ type }) => type);
const transcript = (...lines: object[]) => {
  const file = join(folder, 'home/.claude/projects/-ws', `${ID}.jsonl`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  return file;
};
const assistant = (id: string, output_tokens: number) => ({
  type: 'assistant',
  message: { id, model: 'm', usage: { input_tokens: 5, output_tokens } },
});

describe('a Claude Code session', () => {
  it('starts with nothing but its own environment, a seeded HOME, and a gate on the command line', async () => {
    process.env.VILLAGE_TEST_CANARY = 'leaked';
    await start();
    delete process.env.VILLAGE_TEST_CANARY;
    const [spawned] = ports.spawned;
    expect(Object.values(spawned?.env ?? {})).not.toContain('leaked');
    expect(spawned?.env).toMatchObject({
      HOME: join(folder, 'home'),
      PATH: '/usr/bin',
      ANTHROPIC_API_KEY: 'dummy-key',
      BASH_ENV: '',
      NODE_OPTIONS: '',
    });
    expect(spawned?.args.slice(0, 5)).toEqual(['--permission-mode', 'default', '--setting-sources', '', '--settings']);
    const settings = JSON.parse(spawned?.args[5] ?? '');
    expect(settings).toMatchObject({
      tui: 'default',
      disableAllHooks: false,
      env: { BASH_ENV: '', CLAUDE_CODE_SHELL_PREFIX: '' },
    });
    expect(settings.hooks.PreToolUse).toMatchObject([{ matcher: '*', hooks: [{ type: 'command', timeout: 32_400 }] }]);
    expect(settings.hooks.PreToolUse[0].hooks[0].command).toMatch(/'2' '570000' '\d+'$/);
    expect(settings.hooks.Stop[0].hooks[0].command).toMatch(/'1' '570000' '\d+'$/);
    expect(JSON.parse(readFileSync(join(folder, 'home/.claude.json'), 'utf8'))).toMatchObject({
      projects: { '/ws': { hasTrustDialogAccepted: true } },
    });
  });

  it('takes no prompt and no tool before its own SessionStart', async () => {
    await start();
    expect(await hook('SessionStart', { session_id: 'of-another-cli' })).toBe('');
    expect(await hook('PreToolUse', tool())).toBeUndefined();
    expect(await hook('UserPromptSubmit', { prompt: 'x' })).toBeUndefined();
    expect(await session.sendInput('hello')).toMatchObject({ kind: 'refused' });
    expect([types(), ports.typed]).toEqual([['PROVIDER_STARTED'], []]);
    await becomeReady();
    expect(types()).toEqual(['PROVIDER_STARTED', 'GATE_PROVEN', 'PROVIDER_READY']);
  });

  it('fails and kills the CLI when the proof does not come in time, with the last screen', async () => {
    await start();
    ports.screen = 'Welcome, please log in';
    await ports.clock.advance(19_999);
    expect(ports.kills).toBe(0);
    await ports.clock.advance(1);
    expect(await session.ready).toMatchObject({ kind: 'gate_unproven', lastScreen: 'Welcome, please log in' });
    await session.exited;
    expect([types(), ports.kills]).toEqual([['PROVIDER_STARTED', 'GATE_LOST', 'PROVIDER_EXITED'], 1]);
  });

  it('is ready all the same, but says so, when the screen never looks ready', async () => {
    await start();
    await hook('SessionStart');
    await ports.clock.advance(5_000);
    expect(await session.ready).toEqual({ kind: 'ready' });
    expect(ports.events.at(-1)).toMatchObject({ type: 'PROVIDER_READY', degraded: true });
  });

  it('types a prompt as one paste, then Enter, and presses it again until the CLI reports the prompt', async () => {
    await start();
    await becomeReady();
    const sent = session.sendInput('do\x1b[201~ it');
    await ports.clock.advance(249);
    expect(ports.typed).toEqual(['\x1b[200~do[201~ it\x1b[201~']);
    await ports.clock.advance(1);
    expect(ports.typed.slice(1)).toEqual(['\r']);
    await ports.clock.advance(2_000);
    expect(ports.typed.slice(1)).toEqual(['\r', '\r']);
    await hook('UserPromptSubmit', { prompt: 'do it' });
    expect(await sent).toEqual({ kind: 'sent', confirmed: true });
    expect(ports.events.at(-1)).toEqual({ type: 'TURN_STARTED', turn: 1, prompt: 'do it' });
    const queued = session.sendInput('next');
    await ports.clock.advance(250);
    expect(await queued).toEqual({ kind: 'sent', confirmed: false });
    expect(ports.typed.slice(-2)).toEqual(['\x1b[200~next\x1b[201~', '\r']);
  });

  it('answers tools by policy, and denies when the policy asks or fails', async () => {
    const verdicts = [
      { kind: 'allow' } as const,
      { kind: 'deny', rule: 'r', reason: 'not that' } as const,
      { kind: 'ask', category: 'deploy', reason: 'a deploy' } as const,
    ];
    await start({
      decide: () => {
        const verdict = verdicts.shift();
        if (verdict === undefined) throw new Error('broken policy');
        return verdict;
      },
    });
    await becomeReady();
    const decisions = [];
    for (let call = 0; call < 4; call += 1) {
      const answer = await hook('PreToolUse', tool({ tool_use_id: `t${call}` }));
      decisions.push(JSON.parse(answer ?? '').hookSpecificOutput.permissionDecision);
    }
    expect(decisions).toEqual(['allow', 'deny', 'deny', 'deny']);
    expect(ports.events.flatMap((event) => (event.type === 'TOOL_DENIED' ? [event.rule] : []))).toEqual([
      'r',
      'ask_deploy',
      'policy_failed',
    ]);
    expect(types().filter((type) => type === 'TOOL_STARTED')).toHaveLength(1);
  });

  it('loses the gate when a tool ran unasked or denied, and ends the CLI', async () => {
    await start({ decide: () => ({ kind: 'deny', rule: 'r', reason: 'no' }) });
    await becomeReady();
    await hook('PreToolUse', tool());
    await hook('PostToolUseFailure', tool({ error: 'blocked' }));
    expect(ports.kills).toBe(0);
    await hook('PostToolUse', tool());
    await session.exited;
    expect([ports.kills, types().slice(-2)]).toEqual([1, ['GATE_LOST', 'PROVIDER_EXITED']]);
    expect(await session.sendInput('more')).toMatchObject({ kind: 'refused' });
  });

  it('gives each message its tokens once, the complete ones, and closes an interrupted turn', async () => {
    await start();
    const interrupted = {
      type: 'user',
      message: { content: [{ type: 'text', text: '[Request interrupted by user]' }] },
    };
    const at = (ms: number) => new Date(ports.clock.nowMs() + ms).toISOString();
    const lines: object[] = [
      assistant('a', 1),
      assistant('a', 9),
      { type: 'system' },
      { ...interrupted, timestamp: at(-1) },
      assistant('b', 3),
    ];
    const file = transcript(...lines);
    ports.screen = '❯';
    await hook('SessionStart', { transcript_path: file });
    await hook('UserPromptSubmit', { prompt: 'one' });
    expect(types()).not.toContain('TURN_FINISHED');
    transcript(...lines, { ...interrupted, timestamp: at(5) }, assistant('a', 9));
    await ports.clock.advance(1_000);
    await vi.waitFor(() => expect(types()).toContain('TURN_FINISHED'));
    const usage = ports.events.flatMap((event) =>
      event.type === 'MODEL_USAGE' ? [[event.messageId, event.tokens.outputTokens]] : [],
    );
    expect(usage).toEqual([
      ['a', 9],
      ['b', 3],
    ]);
    expect(ports.events.find(({ type }) => type === 'TURN_FINISHED')).toMatchObject({
      turn: 1,
      outcome: 'interrupted',
    });
  });

  it('never reads a transcript outside its HOME', async () => {
    await start();
    const foreign = join(folder, 'foreign.jsonl');
    writeFileSync(foreign, `${JSON.stringify(assistant('x', 1))}\n`);
    await hook('SessionStart', { transcript_path: foreign });
    await hook('SessionStart', { transcript_path: join(folder, 'home/../foreign.jsonl') });
    ports.exit({ kind: 'exited', exitCode: 0, signal: null });
    await session.exited;
    expect(types()).not.toContain('MODEL_USAGE');
  });

  it('leaves by /exit, after Esc when busy, and is killed when it does not', async () => {
    await start();
    await becomeReady();
    await hook('UserPromptSubmit', { prompt: 'long' });
    const stopped = session.stop({ graceMs: 3_000 });
    await ports.clock.advance(500);
    expect(ports.typed).toEqual(['\x1b', '\x15/exit', '\r']);
    await ports.clock.advance(2_999);
    expect(ports.kills).toBe(0);
    await ports.clock.advance(1);
    await stopped;
    expect(ports.kills).toBe(1);
    expect(ports.events.slice(-2)).toMatchObject([
      { type: 'TURN_FINISHED', outcome: 'interrupted' },
      { type: 'PROVIDER_EXITED', expected: true },
    ]);
    await session.stop({ graceMs: 1 });
    expect(types().filter((type) => type === 'PROVIDER_EXITED')).toHaveLength(1);
  });

  it('says that the CLI exited before it was ready', async () => {
    await start();
    ports.screen = 'cannot reach the API';
    ports.exit({ kind: 'exited', exitCode: 1, signal: null });
    expect(await session.ready).toEqual({ kind: 'exited', exitCode: 1, lastScreen: 'cannot reach the API' });
    expect(ports.events.at(-1)).toMatchObject({ type: 'PROVIDER_EXITED', exitCode: 1, expected: false });
  });

  it('counts a goodbye of the CLI itself as expected, unless it did not end well', async () => {
    for (const [exitCode, signal, expected] of [
      [0, null, true],
      [143, null, false],
      [0, 9, false],
    ] as const) {
      await start();
      await becomeReady();
      await hook('SessionEnd', { reason: 'prompt_input_exit' });
      ports.exit({ kind: 'exited', exitCode, signal });
      await session.exited;
      expect(ports.events.at(-1)).toEqual({ type: 'PROVIDER_EXITED', exitCode, signal, expected });
    }
  });

  it('refuses when the CLI cannot be spawned, and leaves nothing open', async () => {
    await start();
    ports.exit({ kind: 'exited', exitCode: 0, signal: null });
    await session.exited;
    ports = fakePorts();
    const pty = { ...ports.pty, spawn: () => Promise.reject(new Error('no such program')) };
    const config = { file: '/cli', cliVersion: '1', workspace: '/ws', privateDir: folder, path: '', cliInstanceId: ID };
    const model = { baseUrl: 'http://127.0.0.1:1', dummyKey: 'k' };
    const result = await claudeCodeAdapter.startSession({ ...config, model }, { ...ports, pty });
    expect(result).toMatchObject({ kind: 'refused', reason: expect.stringContaining('no such program') });
    expect([ports.events, ports.clock.pending]).toEqual([[], 0]);
    expect(await hook('SessionStart')).toBeUndefined();
  });

  it('leaves no timer and no socket behind', async () => {
    await start();
    await becomeReady();
    ports.exit({ kind: 'exited', exitCode: 0, signal: null });
    await session.exited;
    expect(ports.clock.pending).toBe(0);
    expect(await hook('SessionStart')).toBeUndefined();
  });
});

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
    ports = fakePorts();
    session = await adoptClaudeSession({ config: configOf(), ports }, saved);
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
