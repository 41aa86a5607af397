/** The CLI's terminal: pty-host's process on one side, the redacted stream on the other, and the port that adapters start it by. */

import type { Clock } from '../../../shared/clock.ts';
import type { AgentExit, AgentPty, AgentSpawn, OnOutput, PtyPort, WriteOnce } from '../adapters/contract.ts';
import type { Log } from '../log.ts';
import type { ListedProcess, PtyExit, PtyHost, PtyProcess } from '../pty-host/client.ts';
import { PtyError } from '../pty-host/messages.ts';
import { killSession, type SessionRoot, sessionRoot } from '../pty-host/session-processes.ts';
import type { TerminalStream } from '../stream/terminal-stream.ts';

export interface AgentTerminalOptions {
  readonly host: PtyHost;
  /** Names the process in pty-host, also for the next runner process. */
  readonly ptyId: string;
  readonly clock: Clock;
  readonly log: Log;
  /** The stream cannot go on (the disk refuses): the session must end. */
  readonly onBroken: (error: unknown) => void;
}

export class AgentTerminal {
  readonly #options: AgentTerminalOptions;
  #stream: TerminalStream | null = null;
  #process: PtyProcess | null = null;
  #root: SessionRoot | null = null;
  /** Of what is read: its last byte was taken, and the stream has ended. */
  #ended: Promise<unknown> = Promise.resolve();

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
  type(data: string, once?: WriteOnce): Promise<void> {
    return this.#process ? this.#process.write(data, once) : Promise.reject(new Error('nothing runs'));
  }

  /** Only pty-host and the stream together: frames never span a resize. */
  async resize(cols: number, rows: number): Promise<void> {
    await this.#process?.resize(cols, rows);
  }

  /**
   * Ends every process of the session, without pty-host too; resolves when none is left and what they printed last is in the stream, or it
   * would be missing in what is stored of it. `at_once`: none runs on to clean up.
   */
  async kill(how?: 'at_once'): Promise<void> {
    if (!this.#process || !this.#root) return;
    try {
      await this.#process.kill(how);
    } catch (error) {
      if (!(error instanceof PtyError && error.code === 'host_gone')) throw error;
      const left = await killSession(this.#root, this.#options.clock, 0);
      if (left.length > 0) throw new Error(`processes are left over: ${left.join(', ')}`);
    }
    await this.#ended;
  }

  readonly port: PtyPort = {
    spawn: async (spawn: AgentSpawn): Promise<AgentPty> => {
      const stream = this.#opened();
      const { cols, rows } = stream.size;
      const { file, args, env, cwd } = spawn;
      const process = await this.#options.host.spawn({ id: this.#options.ptyId, file, args, env, cwd, cols, rows });
      this.#setProcess(process);
      return this.#read(process, stream, spawn.onOutput);
    },
    adopt: async (onOutput): Promise<AgentPty> => {
      const stream = this.#opened();
      if (!this.#process) throw new Error('the program is gone');
      return this.#read(this.#process, stream, onOutput);
    },
  };

  /**
   * Takes the process of the runner before this one in hand without reading it: it can be held and killed before its output may be shown.
   * Output waits, from what was not stored yet. Rejects with PtyError.
   */
  async hold({ ackedOffset }: Pick<ListedProcess, 'ackedOffset'>): Promise<PtyProcess> {
    const process = await this.#options.host.adopt(this.#options.ptyId, ackedOffset);
    this.#setProcess(process);
    return process;
  }

  #opened(): TerminalStream {
    if (!this.#stream) throw new Error('the stream is not open');
    return this.#stream;
  }

  #setProcess(process: PtyProcess): void {
    this.#process = process;
    this.#root = sessionRoot(process.mark, process.pid);
  }

  #read(process: PtyProcess, stream: TerminalStream, onOutput: OnOutput | undefined): AgentPty {
    process.onData((bytes, rawOffset) => {
      try {
        stream.accept(bytes, rawOffset, onOutput);
      } catch (error) {
        this.#options.onBroken(error);
      }
    });
    const exited = process.exited.then((exit): AgentExit => {
      stream.end();
      return exitOf(exit);
    });
    this.#ended = exited;
    return {
      pid: process.pid,
      write: (data, once) => process.write(data, once),
      signal: (name) => process.signal(name),
      kill: () => this.kill(),
      exited,
    };
  }
}

const exitOf = (exit: PtyExit): AgentExit =>
  exit.kind === 'lost' ? exit : { kind: 'exited', exitCode: exit.exitCode, signal: exit.signal };
