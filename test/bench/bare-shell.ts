/** bash on node-pty with nothing in between: what every bench compares with. */
import nodePty from 'node-pty';

export interface BareShell {
  onData(listener: (data: string) => void): void;
  onExit(listener: () => void): void;
  write(data: string): void;
  kill(signal: string): void;
}

/** The project's declaration of node-pty knows raw bytes only; here text is as good. */
const { spawn } = nodePty as unknown as {
  spawn(
    file: string,
    args: readonly string[],
    options: { cols: number; rows: number; env: Record<string, string> },
  ): BareShell;
};

export const bareShell = (): BareShell =>
  spawn('/bin/bash', ['--noprofile', '--norc', '-i'], {
    cols: 120,
    rows: 32,
    env: { PS1: '$ ', TERM: 'xterm-256color', PATH: process.env.PATH ?? '' },
  });
