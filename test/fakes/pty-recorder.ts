/**
 * The tests' own record of a raw PTY: script(1) of util-linux runs a program in a PTY of its own and writes down every byte it
 * passes on. Nothing of the product is in between, so what the page shows can be compared with what the program wrote.
 */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SCRIPT = '/usr/bin/script';
/** script(1) puts one line before what it records and one behind it. */
const HEADER = /^Script started on [^\n]*\n/;
const FOOTER = /\nScript done on [^\n]*\n$/;

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

export interface PtyRecorder {
  /** The program to run instead of the real one, with the same arguments. */
  readonly file: string;
  /** Bytes of the one recording that was made; throws when there is none, or more. */
  bytes(): Buffer;
}

/** Whether this machine can record; Debian has it in an essential package. */
export const canRecord = (): boolean => existsSync(SCRIPT);

/** Writes a program to `file` that runs `command` (program and first arguments) and records it. `--version` is answered unrecorded. */
export const ptyRecorder = (file: string, command: readonly string[], folder: string): PtyRecorder => {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const words = command.map(quote).join(' ');
  const lines = [
    '#!/bin/sh',
    `case "$*" in *--version*) exec ${words} "$@";; esac`,
    // script(1) takes one string for a shell: each argument is quoted for it.
    `line=${quote(`exec ${words}`)}`,
    'for word in "$@"; do',
    `  quoted=$(printf '%s' "$word" | sed "s/'/'\\\\\\\\''/g")`,
    `  line="$line '$quoted'"`,
    'done',
    // -e: its exit code is the program's; -f: each byte is on disk before the next is read.
    `exec ${SCRIPT} -qef -O ${quote(folder)}/$$.bytes -c "$line"`,
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  chmodSync(file, 0o755);
  return {
    file,
    bytes() {
      const names = readdirSync(folder);
      const [name] = names;
      if (name === undefined || names.length > 1) throw new Error(`one recording expected, not ${names.length}`);
      // Latin-1 keeps every byte as it is.
      const text = readFileSync(join(folder, name), 'latin1').replace(HEADER, '').replace(FOOTER, '');
      return Buffer.from(text, 'latin1');
    },
  };
};
