/** What hooks and the exit do to the session: they become events, and the proof of the gate. Each request counts once. */
import type { AdapterPorts, AgentExit } from '../contract.ts';
import type { HookRequest } from '../hook-server.ts';
import { type GateProof, gateProof } from './gate-proof.ts';
import { HookInput, NO_ANSWER } from './hook-input.ts';
import { type Ledger, openLedger } from './ledger.ts';
import type { SavedClaude } from './saved.ts';
import { toolGate } from './tool-gate.ts';
import { transcriptReader } from './transcript-reader.ts';
import { countTurns, type Turns } from './turns.ts';

const MESSAGE_MAX_CHARS = 8_000;
/** Answers remembered although nobody confirmed that they arrived: more than clients can wait at once. */
const ANSWERS_MAX = 128;

export interface HookHandler {
  readonly gate: GateProof;
  readonly ledger: Ledger;
  readonly turns: Turns;
  readonly promptSeen: Set<() => void>;
  readonly reported: { number: number };
  /** What the hook prints. A throw blocks the call: right for all that comes before the gate stands or after it fell. */
  answer(request: Pick<HookRequest, 'body' | 'key'>): Promise<string>;
  onAnswered(key: string): void;
  listensOn(socketPath: string): void;
  started(pid: number): void;
  close(): Promise<void>;
  end(exit: AgentExit, isStopping: boolean): Promise<void>;
}

export interface HandlerOptions {
  readonly ports: AdapterPorts;
  readonly cliInstanceId: string;
  readonly cliVersion: string;
  readonly home: string;
  readonly kill: () => void;
  readonly from: SavedClaude;
}

/** Turns, tools, transcript and gate over one ledger. */
const openParts = (options: HandlerOptions, saved: () => SavedClaude) => {
  const { ports, home, from, cliInstanceId, kill } = options;
  const ledger = openLedger(ports.onEvents, saved);
  const { emit } = ledger;
  const nowMs = () => ports.clock.nowMs();
  const turns = countTurns(emit, nowMs, from.turns);
  const tools = toolGate({ policy: ports.policy, emit, nowMs, from: from.calls });
  const transcript = transcriptReader({ clock: ports.clock, turns, ledger, home, from: from.transcript });
  const gate = gateProof({ ports, ledger, cliInstanceId, kill, from: from.gate });
  return { ledger, turns, tools, transcript, gate };
};

type Parts = ReturnType<typeof openParts>;

/** What one hook does, in one turn of the loop, so that all of it is kept together. */
const reactor =
  (
    { gate, turns, tools, transcript, ledger }: Parts,
    cliInstanceId: string,
    session: { readonly promptSeen: Set<() => void>; readonly onGoodbye: () => void },
  ) =>
  (hook: HookInput): string => {
    if (hook.hook_event_name === 'SessionStart') {
      transcript.follow(hook.transcript_path);
      if (hook.session_id === cliInstanceId) gate.prove();
      return NO_ANSWER;
    }
    if (!gate.stands) throw new Error('the gate does not stand');
    switch (hook.hook_event_name) {
      case 'UserPromptSubmit':
        turns.submit(hook.prompt);
        for (const seen of session.promptSeen) seen();
        return NO_ANSWER;
      case 'PreToolUse':
        return tools.ask(hook);
      case 'PostToolUse':
      case 'PostToolUseFailure': {
        const lost = tools.finished(hook);
        if (lost !== undefined) gate.lose(lost);
        return NO_ANSWER;
      }
      case 'Stop': {
        const text = (hook.last_assistant_message ?? '').slice(0, MESSAGE_MAX_CHARS);
        if (text !== '') ledger.emit({ type: 'PROVIDER_MESSAGE', role: 'assistant', text });
        turns.finish('done');
        return NO_ANSWER;
      }
      case 'StopFailure':
        turns.fail();
        return NO_ANSWER;
      case 'SessionEnd':
        session.onGoodbye();
        return NO_ANSWER;
    }
  };

export function hookHandler(options: HandlerOptions): HookHandler {
  const { ports, from, cliInstanceId, cliVersion } = options;
  const reported = { number: from.reportedPrompt };
  const answers = new Map<string, string>(from.answers);
  const asking = new Map<string, Promise<string>>();
  const promptSeen = new Set<() => void>();
  let { socketPath, isStarted, hasExited, hasSaidGoodbye } = from;
  const saved = (): SavedClaude => ({
    ...{ socketPath, isStarted, hasExited, hasSaidGoodbye, reportedPrompt: reported.number },
    gate: gate.saved(),
    turns: turns.saved(),
    calls: tools.saved(),
    transcript: transcript.saved(),
    answers: [...answers],
  });
  const parts = openParts(options, saved);
  const { ledger, turns, tools, transcript, gate } = parts;
  const react = reactor(parts, cliInstanceId, {
    promptSeen,
    onGoodbye: () => {
      hasSaidGoodbye = true;
    },
  });
  const handle = async ({ body, key }: Pick<HookRequest, 'body' | 'key'>): Promise<string> => {
    await ports.whenFree();
    const hook = HookInput.parse(body);
    const readsFirst = hook.hook_event_name === 'UserPromptSubmit' || hook.hook_event_name === 'Stop';
    if (readsFirst && gate.stands) await transcript.read();
    const stdout = react(hook);
    const oldest = answers.keys().next();
    if (answers.size >= ANSWERS_MAX && oldest.done !== true) answers.delete(oldest.value);
    answers.set(key, stdout);
    ledger.commit();
    // An answer that leaves before its event is kept could be given twice.
    await ports.whenFree();
    return stdout;
  };

  return {
    ...{ gate, ledger, turns, promptSeen, reported },
    async answer(request) {
      const known = answers.get(request.key) ?? asking.get(request.key);
      if (known !== undefined) return known;
      const work = handle(request).finally(() => asking.delete(request.key));
      asking.set(request.key, work);
      return work;
    },
    onAnswered: (key) => void answers.delete(key),
    listensOn(path) {
      socketPath = path;
      // Before the program exists: whoever finds it after a crash finds this too.
      ledger.commit();
    },
    started(pid) {
      if (isStarted) return;
      isStarted = true;
      ledger.emit({ type: 'PROVIDER_STARTED', pid, cliVersion });
      ledger.commit();
    },
    async close() {
      await transcript.close();
      turns.abandon();
    },
    async end(exit, isStopping) {
      await this.close();
      const { exitCode, signal } = exit.kind === 'exited' ? exit : { exitCode: null, signal: null };
      // A person at the terminal may leave as well; a CLI that is ended by a signal says goodbye too, but not with 0.
      const expected = isStopping || (hasSaidGoodbye && exitCode === 0 && signal === null);
      if (!hasExited) {
        hasExited = true;
        ledger.emit({ type: 'PROVIDER_EXITED', exitCode, signal, expected });
      }
      ledger.commit();
      gate.ended(exit);
    },
  };
}
