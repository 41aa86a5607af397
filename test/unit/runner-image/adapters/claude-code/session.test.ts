import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { claudeCodeAdapter } from '../../../../../runner-image/src/adapters/claude-code/adapter.ts';
import { fakePorts } from '../fake-ports.ts';
import {
  assistant,
  becomeReady,
  folder,
  hook,
  ID,
  ports,
  session,
  start,
  tool,
  transcript,
  types,
  usePorts,
} from './session-support.ts';

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
    usePorts(fakePorts());
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
