/** Wraps a command so that the kernel, or a watchdog, kills it when this process dies, even by SIGKILL, which no exit handler survives. */
import { existsSync } from 'node:fs';

export interface WrappedCommand {
  command: string;
  args: string[];
  /** The watchdog watches its stdin: it must be a pipe that this process holds open. */
  stdin: 'ignore' | 'pipe';
}

/**
 * Runs "$@" and kills it once stdin ends, which happens at the latest when the process holding the other end is gone.
 * SIGTERM is passed on; the exit status is the command's own.
 */
const WATCHDOG = [
  'exec 3<&0',
  '"$@" </dev/null 3<&- & child=$!',
  '{ read -r _ <&3; kill -KILL "$child"; } 2>/dev/null & watcher=$!',
  'trap \'kill -TERM "$child"\' TERM',
  'while kill -0 "$child" 2>/dev/null; do wait "$child"; status=$?; done',
  'kill "$watcher" 2>/dev/null',
  'exit "$status"',
].join('\n');

/** Wraps `binary args…` with `setpriv --pdeathsig KILL` where util-linux has it, else with a shell watchdog. */
export function dieWithParent(
  binary: string,
  args: readonly string[],
  setprivPath = '/usr/bin/setpriv',
): WrappedCommand {
  if (existsSync(setprivPath))
    return { command: setprivPath, args: ['--pdeathsig', 'KILL', '--', binary, ...args], stdin: 'ignore' };
  return { command: '/bin/sh', args: ['-c', WATCHDOG, 'watchdog', binary, ...args], stdin: 'pipe' };
}
