/** A plain bash for a person who leads: nothing acts by itself here, so there is no gate to prove. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../../../shared/clock.ts';
import { PROVIDERS } from '../../../../shared/providers.ts';
import type { Adapter, AdapterPorts, AgentSpawn, ProviderSession, StartConfig } from '../contract.ts';
import { detectVersion } from '../detect.ts';
import { startedOrRefused } from '../started-or-refused.ts';
import { asPlainText } from '../type-prompt.ts';
import { commandMarks, PROMPT_COMMAND } from './command-marks.ts';

const VERSION = /version (\d+\.\d+\.\d+)/;

function launchOf(config: StartConfig, home: string, onOutput: (text: string) => void): AgentSpawn {
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

async function startShell(config: StartConfig, ports: AdapterPorts): Promise<ProviderSession> {
  const { clock, onEvent: emit } = ports;
  const startedAtMs = clock.monotonicMs();
  const home = join(config.privateDir, 'home');
  await mkdir(home, { recursive: true, mode: 0o700 });
  const marks = commandMarks((exitCode, command) => {
    emit({ type: 'HINT_COMMAND_EXECUTED', command, exitCode, tookMs: null });
    emit({ type: 'HINT_DIFF_AVAILABLE' });
  });
  const pty = await ports.pty.spawn(launchOf(config, home, marks));
  emit({ type: 'PROVIDER_STARTED', pid: pty.pid, cliVersion: config.cliVersion });
  emit({ type: 'PROVIDER_READY', tookMs: Math.round(clock.monotonicMs() - startedAtMs), degraded: false });
  let isStopping = false;
  let hasEnded = false;
  const exited = pty.exited.then((exit) => {
    hasEnded = true;
    const { exitCode, signal } = exit.kind === 'exited' ? exit : { exitCode: null, signal: null };
    // A person who types `exit` means it: only a signal is unexpected.
    emit({
      type: 'PROVIDER_EXITED',
      exitCode,
      signal,
      expected: isStopping || (exit.kind === 'exited' && signal === null),
    });
    return exit;
  });
  return {
    pid: pty.pid,
    ready: Promise.resolve({ kind: 'ready' }),
    exited,
    async sendInput(text) {
      if (hasEnded) return { kind: 'refused', reason: 'the shell has ended' };
      await pty.write(`${asPlainText(text).trimEnd()}\r`);
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
};
