/** The part of node-pty that pty-host uses, with raw bytes: the package's own types name another module and know strings only. */
declare module 'node-pty' {
  import type { ReadStream } from 'node:tty';

  export interface PtyOptions {
    readonly cols: number;
    readonly rows: number;
    readonly cwd: string;
    readonly env: Record<string, string>;
    /** Name of the terminal, becomes TERM. */
    readonly name?: string;
    /** Raw bytes. */
    readonly encoding: null;
    readonly uid?: number;
    readonly gid?: number;
  }

  export interface Pty {
    readonly pid: number;
    /** Path of the slave, `/dev/pts/<n>`. */
    readonly ptsName: string;
    /** The master's stream; node-pty destroys it 200 ms after the child's exit, read or not. */
    readonly _socket: ReadStream;
    onData(listener: (bytes: Buffer) => void): void;
    onExit(listener: (exit: { exitCode: number; signal?: number }) => void): void;
    resize(cols: number, rows: number): void;
  }

  const nodePty: { spawn(file: string, args: string[], options: PtyOptions): Pty };
  export default nodePty;
}
