/** The CLI and what surrounds it while it runs: terminal, stream, live view, transcript, files, model broker. */
import { join } from 'node:path';
import type { Assign } from '../../../shared/frames.ts';
import type { TerminalSize } from '../../../shared/session.ts';
import type { AdapterPorts, ProviderEvent, ProviderSession, SavedProvider } from '../adapters/contract.ts';
import type { RunnerConfig } from '../config.ts';
import { workspacePolicy } from '../policy/decide-tool.ts';
import { redactor } from '../stream/redactor.ts';
import { openSpool, type Spool } from '../stream/spool.ts';
import { openTerminalStream, type TerminalStream } from '../stream/terminal-stream.ts';
import { summariseDiff } from '../workspace/diff-summary.ts';
import { watchWorkspace } from '../workspace/file-watcher.ts';
import { sessionPaths } from '../workspace/layout.ts';
import { AgentTerminal } from './agent-terminal.ts';
import { LiveView } from './live-view.ts';
import type { ModelBroker } from './model-access.ts';
import type { RuntimePorts } from './ports.ts';
import { ptyIdOf } from './pty-programs.ts';
import type { SavedAgent } from './saved-session.ts';
import type { SessionCore } from './session-core.ts';
import { TranscriptStore } from './transcript-store.ts';
import { WorkFiles } from './work-files.ts';

export const spoolFolder = ({ stateDir }: Pick<RuntimePorts, 'stateDir'>): string => join(stateDir, 'spool');

export interface AgentOptions {
  readonly assign: Omit<Assign, 'type' | 'checkpoint'>;
  readonly ports: RuntimePorts;
  readonly config: RunnerConfig;
  /** What was known of the CLI before a crash of the runner. */
  readonly saved: SavedAgent | null;
  readonly onEvents: (events: readonly ProviderEvent[], saved: SavedProvider) => void;
  readonly onOutput: () => void;
  readonly onExit: (exit: { exitCode: number; signal: number | null }) => void;
  readonly onBroken: (error: unknown) => void;
}

export class Agent {
  readonly terminal: AgentTerminal;
  readonly #options: AgentOptions;
  #stream: TerminalStream | null = null;
  #spool: Spool | null = null;
  #live: LiveView | null = null;
  #transcript: TranscriptStore | null = null;
  #files: WorkFiles | null = null;
  #broker: ModelBroker | null = null;
  #provider: ProviderSession | null = null;
  #size: TerminalSize;
  #isWatched = false;
  #secrets: readonly string[] = [];
  #saved: SavedAgent | null;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#saved = options.saved;
    const { sessionId, epoch, config } = options.assign;
    this.#size = config.terminal;
    this.terminal = new AgentTerminal({
      host: options.ports.host,
      ptyId: ptyIdOf({ sessionId, epoch }),
      clock: options.ports.clock,
      log: options.ports.log,
      onBroken: options.onBroken,
    });
  }

  get headOffset(): number {
    return this.#stream?.headOffset ?? 0;
  }
  get live(): LiveView | null {
    return this.#live;
  }
  get files(): WorkFiles | null {
    return this.#files;
  }
  get transcript(): TranscriptStore | null {
    return this.#transcript;
  }
  get provider(): ProviderSession | null {
    return this.#provider;
  }

  /** What a restarted runner must know of the CLI; `null` before it is about to start. */
  get saved(): SavedAgent | null {
    return this.#saved;
  }

  /** Kept with the next save of the session; the first time all of it. */
  remember(change: SavedAgent | Partial<SavedAgent>): void {
    this.#saved = this.#saved === null ? (change as SavedAgent) : { ...this.#saved, ...change };
  }

  readonly screenText = (): string => this.#stream?.screenText() ?? '';

  isScriptPlayed(): boolean | null {
    return this.#broker?.isScriptPlayed() ?? null;
  }

  setWatched(isWatched: boolean): void {
    this.#isWatched = isWatched;
    this.#transcript?.setWatched(isWatched);
    this.#files?.setWatched(isWatched);
  }

  setBroker(broker: ModelBroker): void {
    this.#broker = broker;
  }

  async stopBroker(): Promise<void> {
    await this.#broker?.stop();
  }

  setProvider(provider: ProviderSession): void {
    this.#provider = provider;
    void provider.exited.then((exit) => {
      // Without pty-host it is the runner that ends, and every session with it.
      if (exit.kind === 'exited') this.#options.onExit(exit);
    });
  }

  /** Opens spool, screen and live view; before the CLI starts, so that its first byte finds them. */
  async openStream(core: SessionCore, secrets: readonly string[]): Promise<LiveView> {
    const { assign, ports } = this.#options;
    const { sessionId, epoch, capability, config } = assign;
    const { clock, log } = ports;
    this.#secrets = secrets;
    const spool = openSpool({
      folder: spoolFolder(ports),
      epoch,
      onDropped: (fromOffset, toOffset) =>
        log.warn('the spool is full and drops its beginning', { fromOffset, toOffset }),
    });
    const stream = openTerminalStream({
      ...{ epoch, spool, clock, secrets, ...this.#size },
      keep: (write) => core.keep(write),
      ack: this.terminal.ack,
      onAnswer: this.terminal.answer,
      onRedactions: (count) => core.record({ type: 'secret_redacted', count, where: 'terminal' }),
    });
    this.terminal.setStream(stream);
    this.#spool = spool;
    this.#stream = stream;
    const { send, bufferedBytes } = ports;
    this.#live = new LiveView({
      ...{ sessionId, epoch, capability, agentId: config.agentId, stream, spool, clock, bufferedBytes },
      send: (frame) => void send(frame, 'bulk'),
    });
    stream.subscribe(this.#options.onOutput);
    this.#transcript = new TranscriptStore({
      ...{ sessionId, epoch, stream, spool, clock, log },
      place: core.transcript,
      store: (number, body, isUrgent) => core.uploads.store('transcript', number, body, isUrgent),
      record: (draft) => core.record(draft),
      onPlace: (place) => core.setTranscript(place),
    });
    this.#transcript.setWatched(this.#isWatched);
    await this.#transcript.start();
    return this.#live;
  }

  /** Watches the clone and makes its diffs. */
  openFiles(core: SessionCore, workspace: string): void {
    const { ports, config, assign } = this.#options;
    const { clock, log, gitEnvironment: inherited } = ports;
    const { scratch } = sessionPaths(config.WORKSPACE_ROOT, assign.sessionId);
    const repository = { workspace, scratch, baseCommit: core.baseCommit, inherited };
    this.#files = new WorkFiles({
      clock,
      log,
      diff: () => summariseDiff(repository),
      watch: (onReport) => watchWorkspace({ ...repository, clock, onReport }),
      record: (draft) => core.record(draft),
      redact: (text) => this.#redact(text),
      // Who watches wants it at once; for nobody it rides on the tick.
      store: (body, isLast) => core.uploads.store('diff', core.takeNumber(), body, isLast || this.#isWatched),
      onTouched: (paths) => core.countTouched(paths),
    });
    this.#files.setWatched(this.#isWatched);
    void this.#files.start();
  }

  adapterPorts(core: SessionCore, workspace: string): AdapterPorts {
    const { ports, onEvents } = this.#options;
    const { screenText, terminal } = this;
    const policy = workspacePolicy({ workspace });
    const whenFree = () => core.freezer.whenFree();
    return { pty: terminal.port, clock: ports.clock, screenText, policy, onEvents, whenFree };
  }

  /** The leader's size; `null` when nothing changes. Before the start it is the size the CLI starts with. */
  resize(size: TerminalSize): (TerminalSize & { sizeRev: number }) | null {
    const current = this.#stream?.size ?? this.#size;
    if (current.cols === size.cols && current.rows === size.rows) return null;
    this.#size = { cols: size.cols, rows: size.rows };
    if (!this.#stream) return null;
    this.#live?.flushNow();
    const next = this.#stream.resize(size.cols, size.rows);
    // A program that has ended meanwhile has no size.
    this.terminal
      .resize(size.cols, size.rows)
      .catch((error: unknown) => this.#options.ports.log.warn('the terminal could not be resized', { error }));
    return { cols: next.cols, rows: next.rows, sizeRev: next.sizeRev };
  }

  dispose(): void {
    this.#live?.dispose();
    this.#stream?.dispose();
    this.#spool?.close();
  }

  #redact(text: string): string {
    const masks = redactor(this.#secrets);
    return masks.push(text).text + masks.flush().text;
  }
}
