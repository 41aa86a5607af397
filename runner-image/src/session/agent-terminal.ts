/** The CLI's terminal: pty-host's process on one side, the redacted stream on the other, and the port that adapters start it by. */

import type { AgentExit, AgentPty, AgentSpawn, PtyPort } from '../adapters/contract.ts';
import type { Log } from '../log.ts';
import type { PtyExit, PtyHost, PtyProcess } from '../pty-host/client.ts';
import type { TerminalStream } from '../stream/terminal-stream.ts';
import { utf8Decoder } from '../stream/utf8-decoder.ts';

export interface AgentTerminalOptions {
  readonly host: PtyHost;
  /** Names the process in pty-host, also for the next runner process. */
  readonly ptyId: string;
  readonly log: Log;
  readonly onStarted: (process: PtyProcess) => void;
  /** The stream cannot go on (the disk refuses): the session must end. */
  readonly onBroken: (error: unknown) => void;
}

export class AgentTerminal {
  readonly #options: AgentTerminalOptions;
  #stream: TerminalStream | null = null;
  #process: PtyProcess | null = null;

  constructor(options: AgentTerminalOptions) {
    this.#options = options;
  }

  get ptyId(): string {
    return this.#options.ptyId;
  }

  get process(): PtyProcess | null {
    return this.#process;
  }

  /** Before the start: the stream needs `ack` and `answer` of this terminal to be opened. */
  setStream(stream: TerminalStream): void {
    this.#stream = stream;
  }

  readonly ack = (rawOffset: number): void => this.#process?.ack(rawOffset);

  readonly answer = (data: string): void => {
    // A program that is gone needs no answer to its query.
    this.#process?.write(data).catch((error: unknown) => this.#options.log.debug('no answer taken', { error }));
  };

  /** For people: bytes go straight into the PTY. Rejects when nothing runs. */
  type(data: string): Promise<void> {
    return this.#process ? this.#process.write(data) : Promise.reject(new Error('nothing runs'));
  }

  /** Only pty-host and the stream together: frames never span a resize. */
  async resize(cols: number, rows: number): Promise<void> {
    await this.#process?.resize(cols, rows);
  }

  /** Ends every process of the session; resolves when none is left. */
  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  readonly port: PtyPort = {
    spawn: async (spawn: AgentSpawn): Promise<AgentPty> => {
      const stream = this.#opened();
      const { cols, rows } = stream.size;
      const { file, args, env, cwd } = spawn;
      const process = await this.#options.host.spawn({ id: this.#options.ptyId, file, args, env, cwd, cols, rows });
      return this.#attach(process, stream, spawn.onOutput);
    },
  };

  /** Reads a process of the runner before this one on, from where its stream ended. Rejects with PtyError. */
  async adopt(): Promise<AgentPty> {
    const stream = this.#opened();
    const process = await this.#options.host.adopt(this.#options.ptyId, stream.resumeRawOffset);
    return this.#attach(process, stream, undefined);
  }

  #opened(): TerminalStream {
    if (!this.#stream) throw new Error('the stream is not open');
    return this.#stream;
  }

  #attach(process: PtyProcess, stream: TerminalStream, onOutput: AgentSpawn['onOutput']): AgentPty {
    this.#process = process;
    this.#options.onStarted(process);
    const decoder = utf8Decoder();
    process.onData((bytes, rawOffset) => {
      try {
        stream.accept(bytes, rawOffset);
        onOutput?.(decoder.push(bytes));
      } catch (error) {
        this.#options.onBroken(error);
      }
    });
    const exited = process.exited.then((exit): AgentExit => {
      stream.end();
      return exitOf(exit);
    });
    return {
      pid: process.pid,
      write: (data) => process.write(data),
      signal: (name) => process.signal(name),
      kill: () => process.kill(),
      exited,
    };
  }
}

const exitOf = (exit: PtyExit): AgentExit =>
  exit.kind === 'lost' ? exit : { kind: 'exited', exitCode: exit.exitCode, signal: exit.signal };
