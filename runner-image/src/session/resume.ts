/** After a crash of the runner process: go on with a CLI that needs no gate and no broker, end every other one safely. */
import { existsSync } from 'node:fs';
import { PROVIDERS } from '../../../shared/providers.ts';
import { isFinal, type StateReason } from '../../../shared/session.ts';
import type { AgentPty, ProviderSession } from '../adapters/contract.ts';
import { asPlainText } from '../adapters/type-prompt.ts';
import { sessionPaths } from '../workspace/layout.ts';
import { spoolFolder } from './agent.ts';
import type { RuntimePorts } from './ports.ts';
import type { SavedSession } from './saved-session.ts';
import type { SessionRuntime } from './session-runtime.ts';

const LOST: StateReason = {
  code: 'runner_restarted',
  message: 'The runner process crashed; the gate and the model access of the CLI ended with it.',
  hint: 'Start the session again.',
};

/** A shell that is read on: it takes lines, and ends when its terminal does. */
const adoptedSession = (pty: AgentPty): ProviderSession => ({
  pid: pty.pid,
  ready: Promise.resolve({ kind: 'ready' }),
  exited: pty.exited,
  async sendInput(text) {
    await pty.write(`${asPlainText(text).trimEnd()}\r`);
    return { kind: 'sent', confirmed: false };
  },
  interrupt: () => pty.write('\x03'),
  async stop() {
    await pty.kill();
    await pty.exited;
  },
});

/** Decides what becomes of a saved session. Never throws: what cannot go on is ended with a reason. */
export const resumeSession = (runtime: SessionRuntime, ports: RuntimePorts, saved: SavedSession): void => {
  const { log } = ports;
  log.warn('the runner was started again', { sessionId: saved.sessionId, state: saved.state });
  if (saved.isOver || isFinal(saved.state)) {
    runtime.deliverRest();
    return;
  }
  const work = resume(runtime, ports, saved).catch((error: unknown) => {
    log.error('the session could not be taken up again', { error });
    void runtime.end({ to: 'failed', reason: LOST });
  });
  runtime.takeUp(work);
};

const resume = async (runtime: SessionRuntime, ports: RuntimePorts, saved: SavedSession): Promise<void> => {
  const { core, agent } = runtime;
  const isShell = PROVIDERS[saved.config.provider].capabilities.gate === 'not_needed';
  const isRunning = saved.state === 'running' || saved.state === 'paused_by_human';
  const processes = await ports.host.list();
  const mine = processes.find(({ id }) => id === agent.terminal.ptyId);
  // Also of a CLI that is gone: what it printed may not be stored yet.
  if (mine || existsSync(spoolFolder(ports))) runtime.people.setLive(await agent.openStream(core, [saved.capability]));
  if (mine) {
    const pty = await agent.terminal.adopt();
    if (isShell && isRunning && !mine.exited) {
      agent.setProvider(adoptedSession(pty));
      core.freezer.setTarget(agent.terminal.process);
      if (core.baseCommit !== '') agent.openFiles(core, sessionPaths(runtime.workspaceRoot, saved.sessionId).workspace);
      // A process that was held stays held: what people asked decides, as always.
      if (saved.state === 'paused_by_human') await core.freezer.set('pause', true);
      runtime.resumeRunning();
      return;
    }
  }
  // Not awaited: the end waits for us.
  void runtime.end({ to: 'failed', reason: LOST });
};
