/** One life of Claude Code: its hooks become events, its gate is proven before a prompt is typed, and its end is clean. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../../../shared/clock.ts';
import type { AdapterPorts, AgentExit, AgentPty, ModelAccess, ProviderSession, StartConfig } from '../contract.ts';
import { type HookServer, startHookServer } from '../hook-server.ts';
import { type GateProof, gateProof } from './gate-proof.ts';
import { HookInput, NO_ANSWER } from './hook-input.ts';
import { HOOK_CLIENT_FILE, type HookCommand, launchOf, seedOf } from './launch.ts';
import { promptTyper } from './prompt-typer.ts';
import { toolGate } from './tool-gate.ts';
import { transcriptReader } from './transcript-reader.ts';
import { countTurns } from './turns.ts';

const MESSAGE_MAX_CHARS = 8_000;
const ESCAPE = '\x1b';
const CLEAR_LINE = '\x15';
const KEY_SETTLE_MS = 250;

export interface ClaudeSessionOptions {
  readonly config: StartConfig;
  readonly model: ModelAccess;
  readonly ports: AdapterPorts;
  /** Test seam for the gate: another client file stands for one that was removed. */
  readonly hook?: Partial<Pick<HookCommand, 'nodeFile' | 'clientFile'>>;
}

const homeOf = (config: StartConfig): string => join(config.privateDir, 'home');

async function seedHome(options: ClaudeSessionOptions): Promise<string> {
  const home = homeOf(options.config);
  await mkdir(home, { recursive: true, mode: 0o700 });
  const seed = JSON.stringify(seedOf(options.model, options.config.workspace));
  await writeFile(join(home, '.claude.json'), seed, { mode: 0o600 });
  return home;
}

/** What hooks and the exit do to the session: they become events, and the proof of the gate. */
function hookHandler(options: ClaudeSessionOptions, gate: GateProof) {
  const { config, ports } = options;
  const emit = ports.onEvent;
  const nowMs = () => ports.clock.nowMs();
  const turns = countTurns(emit, nowMs);
  const tools = toolGate({ policy: ports.policy, emit, nowMs });
  const transcript = transcriptReader({ clock: ports.clock, turns, emit, home: homeOf(config) });
  const promptSeen = new Set<() => void>();
  let hasSaidGoodbye = false;

  const onStop = async (text: string | undefined): Promise<void> => {
    if (text) emit({ type: 'PROVIDER_MESSAGE', role: 'assistant', text: text.slice(0, MESSAGE_MAX_CHARS) });
    await transcript.read();
    turns.finish('done');
  };

  /** What the hook prints. A throw blocks the call: right for all that comes before the gate stands or after it fell. */
  const answer = async (request: unknown): Promise<string> => {
    const hook = HookInput.parse(request);
    if (hook.hook_event_name === 'SessionStart') {
      transcript.follow(hook.transcript_path);
      if (hook.session_id === config.cliInstanceId) gate.prove();
      return NO_ANSWER;
    }
    if (!gate.stands) throw new Error('the gate does not stand');
    switch (hook.hook_event_name) {
      case 'UserPromptSubmit':
        await transcript.read();
        turns.submit(hook.prompt);
        for (const seen of promptSeen) seen();
        return NO_ANSWER;
      case 'PreToolUse':
        return tools.ask(hook);
      case 'PostToolUse':
      case 'PostToolUseFailure': {
        const lost = tools.finished(hook);
        if (lost !== undefined) gate.lose(lost);
        return NO_ANSWER;
      }
      case 'Stop':
        await onStop(hook.last_assistant_message);
        return NO_ANSWER;
      case 'StopFailure':
        turns.finish('failed');
        return NO_ANSWER;
      case 'SessionEnd':
        hasSaidGoodbye = true;
        return NO_ANSWER;
    }
  };

  const close = async (): Promise<void> => {
    await transcript.close();
    turns.abandon();
  };
  const end = async (exit: AgentExit, isStopping: boolean): Promise<void> => {
    await close();
    const { exitCode, signal } = exit.kind === 'exited' ? exit : { exitCode: null, signal: null };
    // A person at the terminal may leave as well; a CLI that is ended by a signal says goodbye too, but not with 0.
    const expected = isStopping || (hasSaidGoodbye && exitCode === 0 && signal === null);
    emit({ type: 'PROVIDER_EXITED', exitCode, signal, expected });
    gate.ended(exit);
  };

  return { answer, turns, promptSeen, close, end };
}

async function leave(pty: AgentPty, options: ClaudeSessionOptions, isBusy: boolean, graceMs: number): Promise<void> {
  const { clock } = options.ports;
  if (isBusy) {
    await pty.write(ESCAPE);
    await sleep(clock, KEY_SETTLE_MS);
  }
  await pty.write(`${CLEAR_LINE}/exit`);
  await sleep(clock, KEY_SETTLE_MS);
  await pty.write('\r');
  await Promise.race([pty.exited, sleep(clock, graceMs)]);
}

/** Starts the CLI; rejects when it cannot be spawned, with nothing left behind but the private directory. */
export async function startClaudeSession(options: ClaudeSessionOptions): Promise<ProviderSession> {
  const { config, model, ports } = options;
  const home = await seedHome(options);
  let pty: AgentPty | undefined;
  const killNow = () => {
    // The exit is reported by `exited`; a kill that fails leaves that open, and `stop` tries again and reports it.
    pty?.kill().catch(() => undefined);
  };
  const gate = gateProof({ ports, cliInstanceId: config.cliInstanceId, kill: killNow });
  const core = hookHandler(options, gate);
  let server: HookServer | undefined;
  try {
    server = await startHookServer({ privateDir: config.privateDir, answer: core.answer });
    const hook = {
      nodeFile: process.execPath,
      clientFile: HOOK_CLIENT_FILE,
      ...options.hook,
      socketPath: server.socketPath,
    };
    pty = await ports.pty.spawn(launchOf(config, model, home, hook));
  } catch (error) {
    await server?.stop();
    await core.close();
    gate.ended({ kind: 'lost' });
    throw error;
  }
  const running = pty;
  const hooks = server;
  ports.onEvent({ type: 'PROVIDER_STARTED', pid: running.pid, cliVersion: config.cliVersion });
  let isStopping = false;
  const exited = running.exited.then(async (exit) => {
    await core.end(exit, isStopping);
    await hooks.stop();
    return exit;
  });
  const typer = promptTyper({
    pty: running,
    clock: ports.clock,
    accepts: () => gate.stands,
    isBusy: () => core.turns.isOpen,
    promptSeen: core.promptSeen,
  });
  return {
    pid: running.pid,
    ready: gate.ready,
    exited,
    sendInput: async (text) => {
      const readiness = await Promise.race([gate.ready, Promise.resolve(undefined)]);
      if (readiness?.kind !== 'ready')
        return { kind: 'refused', reason: 'the CLI is not ready: its gate is not proven' };
      return typer.send(text);
    },
    interrupt: () => running.write(ESCAPE),
    async stop({ graceMs }) {
      const canLeave = gate.stands && !isStopping;
      isStopping = true;
      // A CLI that no longer reads its input cannot be asked to leave; the kill below ends it.
      if (canLeave) await leave(running, options, core.turns.isOpen, graceMs).catch(() => undefined);
      await running.kill();
      await exited;
    },
  };
}
