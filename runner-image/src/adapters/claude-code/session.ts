/** One life of Claude Code: its hooks become events, its gate is proven before a prompt is typed, and its end is clean. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, sleep } from '../../../../shared/clock.ts';
import type { AdapterPorts, AgentPty, ModelAccess, ProviderSession, SavedProvider, StartConfig } from '../contract.ts';
import { type HookServer, startHookServer } from '../hook-server.ts';
import { claudeBefore, homeOf } from './conversations.ts';
import { type HookHandler, hookHandler } from './hook-handler.ts';
import { HOOK_CLIENT_FILE, type HookCommand, launchOf, seedOf } from './launch.ts';
import { promptTyper } from './prompt-typer.ts';
import { NEW_CLAUDE, SavedClaude } from './saved.ts';

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

async function seedHome(options: ClaudeSessionOptions): Promise<string> {
  const home = homeOf(options.config);
  await mkdir(home, { recursive: true, mode: 0o700 });
  const seed = JSON.stringify(seedOf(options.model, options.config.workspace));
  await writeFile(join(home, '.claude.json'), seed, { mode: 0o600 });
  return home;
}

async function leave(pty: AgentPty, clock: Clock, isBusy: boolean, graceMs: number): Promise<void> {
  if (isBusy) {
    await pty.write(ESCAPE);
    await sleep(clock, KEY_SETTLE_MS);
  }
  await pty.write(`${CLEAR_LINE}/exit`);
  await sleep(clock, KEY_SETTLE_MS);
  await pty.write('\r');
  await Promise.race([pty.exited, sleep(clock, graceMs)]);
}

/** The hook socket, and a CLI from `open` whose hooks are answered there. */
async function openSession(
  { config, ports }: Pick<ClaudeSessionOptions, 'config' | 'ports'>,
  from: SavedClaude,
  open: (socketPath: string) => Promise<AgentPty>,
): Promise<ProviderSession> {
  let pty: AgentPty | undefined;
  const kill = () => {
    // The exit is reported by `exited`; a kill that fails leaves that open, and `stop` tries again and reports it.
    pty?.kill().catch(() => undefined);
  };
  const { cliInstanceId, cliVersion } = config;
  const handler = hookHandler({ ports, cliInstanceId, cliVersion, home: homeOf(config), kill, from });
  let hooks: HookServer | undefined;
  try {
    hooks = await startHookServer({
      privateDir: config.privateDir,
      ...(from.socketPath === '' ? {} : { socketPath: from.socketPath }),
      answer: handler.answer,
      onAnswered: handler.onAnswered,
    });
    handler.listensOn(hooks.socketPath);
    pty = await open(hooks.socketPath);
  } catch (error) {
    await hooks?.stop();
    await handler.close();
    handler.gate.ended({ kind: 'lost' });
    throw error;
  }
  handler.started(pty.pid);
  handler.gate.begin();
  return sessionOver(pty, hooks, handler, { clock: ports.clock, isAdopted: from.isStarted });
}

function sessionOver(
  pty: AgentPty,
  hooks: HookServer,
  handler: HookHandler,
  { clock, isAdopted }: { readonly clock: Clock; readonly isAdopted: boolean },
): ProviderSession {
  const { gate, turns, promptSeen, reported } = handler;
  let isStopping = false;
  const exited = pty.exited.then(async (exit) => {
    await handler.end(exit, isStopping);
    await hooks.stop();
    return exit;
  });
  const typer = promptTyper({
    ...{ pty, clock, promptSeen, reported, isAdopted },
    accepts: () => gate.stands,
    isBusy: () => turns.isOpen,
  });
  return {
    pid: pty.pid,
    ready: gate.ready,
    exited,
    sendInput: async (text, number) => {
      const readiness = await Promise.race([gate.ready, Promise.resolve(undefined)]);
      if (readiness?.kind !== 'ready')
        return { kind: 'refused', reason: 'the CLI is not ready: its gate is not proven' };
      return typer.send(text, number);
    },
    interrupt: () => pty.write(ESCAPE),
    async stop({ graceMs }) {
      const canLeave = gate.stands && !isStopping;
      isStopping = true;
      // A CLI that no longer reads its input cannot be asked to leave; the kill below ends it.
      if (canLeave) await leave(pty, clock, turns.isOpen, graceMs).catch(() => undefined);
      await pty.kill();
      await exited;
    },
  };
}

/** Starts the CLI; rejects when it cannot be spawned, with nothing left behind but the private directory. */
export async function startClaudeSession(options: ClaudeSessionOptions): Promise<ProviderSession> {
  const { config, model, ports } = options;
  const home = await seedHome(options);
  return openSession(options, { ...NEW_CLAUDE, ...(await claudeBefore(config)) }, (socketPath) => {
    const hook = { nodeFile: process.execPath, clientFile: HOOK_CLIENT_FILE, ...options.hook, socketPath };
    return ports.pty.spawn(launchOf(config, model, home, hook));
  });
}

/** Goes on with a CLI that outlived the runner; rejects when it is gone or `saved` does not fit. */
export function adoptClaudeSession(
  options: Pick<ClaudeSessionOptions, 'config' | 'ports'>,
  saved: SavedProvider,
): Promise<ProviderSession> {
  return openSession(options, SavedClaude.parse(saved), () => options.ports.pty.adopt());
}
