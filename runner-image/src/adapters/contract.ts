/** What every adapter of a coding CLI promises, and the ports it needs; the session knows this file and no CLI. */
import type { Clock } from '../../../shared/clock.ts';
import type { Capabilities, GateProof, ProviderId } from '../../../shared/providers.ts';
import type { TokenCounts } from '../../../shared/usage.ts';
import type { ToolPolicy } from '../policy/contract.ts';

interface ToolNamed {
  readonly toolUseId: string;
  readonly toolName: string;
}

/** How a turn ended: `interrupted` by a person or by the CLI's end, `failed` on an error of the model API. */
export type TurnOutcome = 'done' | 'interrupted' | 'failed';

export type ProviderEvent =
  | { readonly type: 'PROVIDER_STARTED'; readonly pid: number; readonly cliVersion: string }
  /** `degraded`: the gate stands, but the screen never looked ready. */
  | { readonly type: 'PROVIDER_READY'; readonly tookMs: number; readonly degraded: boolean }
  | { readonly type: 'PROVIDER_MESSAGE'; readonly role: 'assistant' | 'user' | 'system'; readonly text: string }
  | ({ readonly type: 'REQUEST_APPROVAL'; readonly summary: string; readonly category: string } & ToolNamed)
  /** Absolute paths. */
  | { readonly type: 'HINT_FILES_TOUCHED'; readonly paths: readonly string[] }
  | { readonly type: 'HINT_DIFF_AVAILABLE' }
  | {
      readonly type: 'HINT_COMMAND_EXECUTED';
      readonly command: string;
      readonly exitCode: number | null;
      readonly tookMs: number | null;
    }
  /** Turns count from 1. */
  | { readonly type: 'TURN_STARTED'; readonly turn: number; readonly prompt: string }
  | { readonly type: 'TURN_FINISHED'; readonly turn: number; readonly tookMs: number; readonly outcome: TurnOutcome }
  /** The turn failed because a crash of the runner cut the model's answer off: the agent must be asked to go on. */
  | { readonly type: 'TURN_CUT'; readonly turn: number }
  | ({ readonly type: 'TOOL_REQUESTED' | 'TOOL_STARTED'; readonly summary: string } & ToolNamed)
  | ({ readonly type: 'TOOL_FINISHED'; readonly ok: boolean; readonly tookMs: number } & ToolNamed)
  | ({ readonly type: 'TOOL_DENIED'; readonly rule: string; readonly reason: string } & ToolNamed)
  | { readonly type: 'PROVIDER_IDLE'; readonly turnsDone: number }
  | {
      readonly type: 'MODEL_USAGE';
      readonly messageId: string;
      readonly model: string;
      readonly tokens: TokenCounts;
      readonly label: 'estimate';
    }
  | { readonly type: 'GATE_PROVEN'; readonly proof: GateProof; readonly cliInstanceId: string }
  | { readonly type: 'GATE_LOST'; readonly reason: string; readonly lastScreen: string }
  | {
      readonly type: 'PROVIDER_EXITED';
      readonly exitCode: number | null;
      readonly signal: number | null;
      readonly expected: boolean;
    };

/** `lost`: whoever held the PTY went away, and the program's fate with it is unknown. */
export type AgentExit =
  | { readonly kind: 'exited'; readonly exitCode: number; readonly signal: number | null }
  | { readonly kind: 'lost' };

/** A write that may be repeated after a crash: under one lane each number is written at most once, in rising order. */
export interface WriteOnce {
  readonly lane: string;
  readonly number: number;
}

/** One CLI under a PTY. Everything rejects once the program is gone. */
export interface AgentPty {
  readonly pid: number;
  /** Resolves when the terminal has it. */
  write(data: string, once?: WriteOnce): Promise<void>;
  signal(name: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): Promise<void>;
  /** Ends every process of the session, daemons included. */
  kill(): Promise<void>;
  /** Settles after the last byte of output was delivered. */
  readonly exited: Promise<AgentExit>;
}

/**
 * Raw output, in order, possibly cut anywhere; `rawOffset` is that of its first byte. After an adopt it begins where the stored stream can be
 * taken up, so what was seen before comes again. The terminal's queries are answered by the screen model, not here.
 */
export type OnOutput = (bytes: Buffer, rawOffset: number) => void;

export interface AgentSpawn {
  readonly file: string;
  readonly args: string[];
  /** The whole environment of the program. */
  readonly env: Record<string, string>;
  readonly cwd: string;
  readonly onOutput?: OnOutput;
}

/** Size and identity of the terminal are the session's affair. */
export interface PtyPort {
  spawn(spawn: AgentSpawn): Promise<AgentPty>;
  /** The program that a runner process before this one started. */
  adopt(onOutput?: OnOutput): Promise<AgentPty>;
}

export interface AdapterPorts {
  readonly pty: PtyPort;
  readonly clock: Clock;
  /** The visible screen as lines of text. */
  readonly screenText: () => string;
  readonly policy: ToolPolicy;
  /**
   * Events in order, and what the adapter must know to go on behind them: both are kept together or not at all, so that a crash neither
   * loses an event nor repeats one. It must not throw.
   */
  readonly onEvents: (events: readonly ProviderEvent[], saved: SavedProvider) => void;
  /** Resolves when nothing holds the session (pause, lost lease, full disk) and what was handed to `onEvents` is kept. */
  readonly whenFree: () => Promise<void>;
}

/** Plain JSON that only its adapter reads, by its own schema. */
export type SavedProvider = Readonly<Record<string, unknown>>;

/** The model's address as the CLI sees it: a broker on loopback, and a key that is worth nothing elsewhere. */
export interface ModelAccess {
  readonly baseUrl: string;
  readonly dummyKey: string;
  /** Passed to the CLI; undefined leaves the choice to it. */
  readonly modelName?: string;
}

export interface StartConfig {
  /** The CLI's executable. */
  readonly file: string;
  readonly cliVersion: string;
  /** Absolute and real (no symlink in it): CLIs compare it with what they see. */
  readonly workspace: string;
  /** A directory of the session's own outside the workspace, mode 0700, removed by the session's clean-up. */
  readonly privateDir: string;
  /** PATH of the agent. */
  readonly path: string;
  readonly model?: ModelAccess;
  /** UUID of this life of the CLI; a conversation is found by it. */
  readonly cliInstanceId: string;
  /** What the session did on other runners. With `hasConversation` the one of `cliInstanceId` exists. */
  readonly before?: { readonly turnsDone: number; readonly hasConversation: boolean };
}

/** How a conversation goes on in another life of the CLI: with its files put where the CLI looks for them. */
export interface Conversations {
  /** Folder of the workspace's conversations, in the private directory. */
  folder(at: Pick<StartConfig, 'privateDir' | 'workspace'>): string;
  /** Whether the one with this id can be gone on with. */
  exists(at: Pick<StartConfig, 'privateDir' | 'workspace'>, id: string): Promise<boolean>;
  /** The one that was led last; `null` before there is one. An agent may have had its hands in `saved`: only a UUID is given. */
  current(saved: SavedProvider): string | null;
  /** Prompts in the CLI that wait for the end of its turn: another life of it knows nothing of them. */
  waiting(saved: SavedProvider): readonly string[];
}

export type Detection =
  | { readonly kind: 'found'; readonly version: string }
  | { readonly kind: 'missing'; readonly reason: string; readonly hint: string };

export type Readiness =
  | { readonly kind: 'ready' }
  | { readonly kind: 'gate_unproven'; readonly reason: string; readonly lastScreen: string }
  | { readonly kind: 'exited'; readonly exitCode: number | null; readonly lastScreen: string };

export type SendResult =
  /** `confirmed` says that the CLI itself reported the prompt; while it works, prompts queue unconfirmed. */
  { readonly kind: 'sent'; readonly confirmed: boolean } | { readonly kind: 'refused'; readonly reason: string };

export interface ProviderSession {
  readonly pid: number;
  /** Settles once: no prompt is accepted before `ready`. */
  readonly ready: Promise<Readiness>;
  /**
   * Types `text` as one prompt and submits it. After a crash a prompt that was not reported as sent is sent again under its
   * `number` (rising from 1) and reaches the CLI once.
   */
  sendInput(text: string, number?: number): Promise<SendResult>;
  /** Ends the running turn, not the CLI. */
  interrupt(): Promise<void>;
  /** Asks the CLI to leave, then ends every process. Resolves when none is left; may be called again. */
  stop(options: { readonly graceMs: number }): Promise<void>;
  readonly exited: Promise<AgentExit>;
}

export type StartResult =
  | { readonly kind: 'started'; readonly session: ProviderSession }
  | { readonly kind: 'refused'; readonly reason: string; readonly hint: string };

export interface Adapter {
  readonly provider: ProviderId;
  readonly capabilities: Capabilities;
  /** Absent for a CLI that keeps none: a new life of it begins anew in the same files. */
  readonly conversations?: Conversations;
  /** Asks the executable for its version; at most CLI_VERSION_TIMEOUT_MS, and once for each file. */
  detect(file: string): Promise<Detection>;
  /** Starts the CLI and returns at once; `ready` of the session says when it takes prompts. */
  startSession(config: StartConfig, ports: AdapterPorts): Promise<StartResult>;
  /** Goes on with a CLI that outlived the runner process; `saved` is what `onEvents` was given last. */
  adoptSession(config: StartConfig, saved: SavedProvider, ports: AdapterPorts): Promise<StartResult>;
}
