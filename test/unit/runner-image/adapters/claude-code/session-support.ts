/** A session of Claude Code over played ports: hooks as the client sends them, a transcript, and a crash of the runner. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import {
  adoptClaudeSession,
  startClaudeSession,
} from '../../../../../runner-image/src/adapters/claude-code/session.ts';
import type { ProviderSession } from '../../../../../runner-image/src/adapters/contract.ts';
import type { ToolPolicy } from '../../../../../runner-image/src/policy/contract.ts';
import { type FakePorts, fakePorts } from '../fake-ports.ts';

export const ID = '11111111-2222-4333-8444-555555555555';
export let folder: string;
export let ports: FakePorts;
export let session: ProviderSession;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'village-session-'));
});
afterEach(async () => {
  ports.exit({ kind: 'exited', exitCode: 0, signal: null });
  await session.exited;
  rmSync(folder, { recursive: true, force: true });
});

export const configOf = () => ({
  file: '/cli',
  cliVersion: '2.1.330',
  workspace: '/ws',
  privateDir: folder,
  path: '/usr/bin',
  cliInstanceId: ID,
});
export const start = async (policy?: ToolPolicy) => {
  ports = fakePorts(policy);
  session = await startClaudeSession({
    config: configOf(),
    model: { baseUrl: 'http://127.0.0.1:1', dummyKey: 'dummy-key' },
    ports,
  });
};

export const usePorts = (fresh: FakePorts): FakePorts => {
  ports = fresh;
  return ports;
};
export const adopt = async (saved: FakePorts['saved']) => {
  session = await adoptClaudeSession({ config: configOf(), ports }, saved);
};

/** The runner process dies, and the next one takes the CLI up on the same socket. */
export const crash = async () => {
  const before = ports;
  ports = before.crash();
  ports.screen = before.screen;
  await adopt(before.saved);
};

/** One hook as the client sends it; undefined when the runner refused, or nobody answered. */
export const hookAs = (id: string, name: string, over: object = {}): Promise<string | undefined> =>
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
export const hook = (name: string, over: object = {}) => hookAs(crypto.randomUUID(), name, over);
export const tool = (over: object = {}) => ({
  cwd: '/ws',
  tool_name: 'Bash',
  tool_input: { command: 'ls' },
  tool_use_id: 't1',
  ...over,
});
export const becomeReady = async () => {
  ports.screen = '❯ ';
  await hook('SessionStart');
  await session.ready;
};
export const types = () => ports.events.map(({ type }) => type);
export const transcript = (...lines: object[]) => {
  const file = join(folder, 'home/.claude/projects/-ws', `${ID}.jsonl`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  return file;
};
export const assistant = (id: string, output_tokens: number) => ({
  type: 'assistant',
  message: { id, model: 'm', usage: { input_tokens: 5, output_tokens } },
});
