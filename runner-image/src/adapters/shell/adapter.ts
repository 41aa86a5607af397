/** A plain bash for a person who leads: nothing acts by itself here, so there is no gate to prove. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { sleep } from '../../../../shared/clock.ts';
import { PROVIDERS } from '../../../../shared/providers.ts';
import type {
  Adapter,
  AdapterPorts,
  AgentPty,
  AgentSpawn,
  OnOutput,
  ProviderEvent,
  ProviderSession,
  SavedProvider,
  StartConfig,
} from '../contract.ts';
import { detectVersion } from '../detect.ts';
import { adoptedOrRefused, startedOrRefused } from '../started-or-refused.ts';
import { asPlainText, PROMPT_LANE } from '../type-prompt.ts';
import { commandMarks, PROMPT_COMMAND } from './command-marks.ts';

const VERSION = /version (\d+\.\d+\.\d+)/;

const Saved = z.strictObject({
  isStarted: z.boolean(),
  hasExited: z.boolean(),
  /** Raw offset up to which commands were reported. */
  reportedOffset: z.int().min(0),
});
type Saved = z.infer<typeof Saved>;

function launchOf(config: StartConfig, home: string, onOutput: OnOutput): AgentSpawn {
  return {
    file: config.file,
    args: ['--noprofile', '--norc', '-i'],
    cwd: config.workspace,
    env: {
      PATH: config.path,
      HOME: home,
      SHELL: config.file,
      TERM: 'xterm-256color',
      COLORTERM: 'truecolor',
      LANG: 'C.UTF-8',
      PS1: '\\w \\$ ',
      PROMPT_COMMAND,
      HISTFILE: '',
    },
    onOutput,
  };
}

/** Events, each with what is known behind it. */
const reporter = (ports: AdapterPorts, from: Saved) => {
  let saved = from;
  const emit = (change: Partial<Saved>, ...events: readonly ProviderEvent[]): void => {
    saved = { ...saved, ...change };
    ports.onEvents(events, saved);
  };
  const onOutput = commandMarks(({ exitCode, command, endOffset }) => {
    const executed = { type: 'HINT_COMMAND_EXECUTED', command, exitCode, tookMs: null } as const;
    emit({ reportedOffset: endOffset }, executed, { type: 'HINT_DIFF_AVAILABLE' });
  }, from.reportedOffset);
  return { emit, onOutput, saved: () => saved };
};
type Reporter = ReturnType<typeof reporter>;

async function startShell(config: StartConfig, ports: AdapterPorts): Promise<ProviderSession> {
  const startedAtMs = ports.clock.monotonicMs();
  const home = join(config.privateDir, 'home');
  await mkdir(home, { recursive: true, mode: 0o700 });
  const report = reporter(ports, { isStarted: false, hasExited: false, reportedOffset: 0 });
  // Before the program exists: whoever finds it after a crash finds this too.
  report.emit({});
  const pty = await ports.pty.spawn(launchOf(config, home, report.onOutput));
  return shellSession(pty, config, ports, { ...report, startedAtMs });
}

async function adoptShell(config: StartConfig, known: SavedProvider, ports: AdapterPorts): Promise<ProviderSession> {
  const report = reporter(ports, Saved.parse(known));
  const startedAtMs = ports.clock.monotonicMs();
  return shellSession(await ports.pty.adopt(report.onOutput), config, ports, { ...report, startedAtMs });
}

function shellSession(
  pty: AgentPty,
  config: StartConfig,
  { clock }: AdapterPorts,
  { emit, saved, startedAtMs }: Reporter & { readonly startedAtMs: number },
): ProviderSession {
  if (!saved().isStarted) {
    const started = { type: 'PROVIDER_STARTED', pid: pty.pid, cliVersion: config.cliVersion } as const;
    const tookMs = Math.round(clock.monotonicMs() - startedAtMs);
    // It takes lines from its first moment on: what is typed early waits in the terminal.
    emit({ isStarted: true }, started, { type: 'PROVIDER_READY', tookMs, degraded: false });
  }
  let isStopping = false;
  let hasEnded = false;
  const exited = pty.exited.then((exit) => {
    hasEnded = true;
    const { exitCode, signal } = exit.kind === 'exited' ? exit : { exitCode: null, signal: null };
    // A person who types `exit` means it: only a signal is unexpected.
    const expected = isStopping || (exit.kind === 'exited' && signal === null);
    if (!saved().hasExited) emit({ hasExited: true }, { type: 'PROVIDER_EXITED', exitCode, signal, expected });
    return exit;
  });
  return {
    pid: pty.pid,
    ready: Promise.resolve({ kind: 'ready' }),
    exited,
    async sendInput(text, number) {
      if (hasEnded) return { kind: 'refused', reason: 'the shell has ended' };
      const once = number === undefined ? undefined : { lane: PROMPT_LANE, number };
      await pty.write(`${asPlainText(text).trimEnd()}\r`, once);
      return { kind: 'sent', confirmed: false };
    },
    interrupt: () => pty.write('\x03'),
    async stop({ graceMs }) {
      isStopping = true;
      // An interactive bash ignores SIGTERM and passes SIGHUP on to its jobs. A failing signal means it is gone; the kill below makes sure.
      if (!hasEnded)
        await pty.signal('SIGHUP').then(
          () => Promise.race([pty.exited, sleep(clock, graceMs)]),
          () => undefined,
        );
      await pty.kill();
      await exited;
    },
  };
}

export const shellAdapter: Adapter = {
  provider: 'shell',
  capabilities: PROVIDERS.shell.capabilities,
  detect: (file) => detectVersion(file, VERSION),
  startSession: (config, ports) => startedOrRefused(() => startShell(config, ports)),
  adoptSession: (config, saved, ports) => adoptedOrRefused(() => adoptShell(config, saved, ports)),
};
