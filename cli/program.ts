/** The `village` command: its tree of subcommands, and one exit code however it ends. */
import { Command, CommanderError } from 'commander';
import { CliError, EXIT } from './cli-error.ts';
import { addAttachSession } from './commands/attach-session.ts';
import { addBuilds } from './commands/builds.ts';
import { addDoctor } from './commands/doctor.ts';
import { addOpen } from './commands/open.ts';
import { addReadSessions } from './commands/read-sessions.ts';
import { addReplaySession } from './commands/replay-session.ts';
import { addRunners } from './commands/runners.ts';
import { addSessionLogs } from './commands/session-logs.ts';
import { addStart } from './commands/start.ts';
import { addStartSession } from './commands/start-session.ts';
import { addSteerSession } from './commands/steer-session.ts';
import { addWaitSession } from './commands/wait-session.ts';
import { createOutput } from './output.ts';
import { createRun } from './run.ts';

const buildProgram = (env: NodeJS.ProcessEnv, setExitCode: (code: number) => void): Command => {
  const program = new Command('village')
    .description('runs coding CLIs in sessions that are never lost')
    .option('--data-dir <folder>', 'data directory of a local village (default: .village)')
    .option('--json', 'data and errors as JSON')
    .exitOverride()
    .showHelpAfterError(false);
  const run = createRun(env, setExitCode);
  addStart(program, run);
  addDoctor(program, run);
  addOpen(program, run);
  const sessions = program.command('sessions').description('start, watch and steer sessions');
  for (const add of [
    addStartSession,
    addReadSessions,
    addAttachSession,
    addSteerSession,
    addSessionLogs,
    addReplaySession,
    addWaitSession,
  ])
    add(sessions, run);
  addRunners(program, run);
  addBuilds(program, run);
  return program;
};

/** Silences commander: errors are shown once, by us, in the shape that was asked for. */
const quieten = (command: Command): void => {
  command.configureOutput({ outputError: () => {} }).exitOverride();
  for (const child of command.commands) quieten(child);
};

/** Runs one command line (without node and script) and returns its exit code. */
export const runCli = async (argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> => {
  let exitCode: number = EXIT.ok;
  const program = buildProgram(env, (code) => {
    exitCode = code;
  });
  quieten(program);
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version are answers, not errors; help that was not asked for is one.
    if (error.exitCode === 0) return EXIT.ok;
    if (error.code === 'commander.help') return EXIT.failed;
    const message = error.message.replace(/^error: /, '');
    createOutput(argv.includes('--json')).error(new CliError('usage', message));
    return EXIT.failed;
  }
  return exitCode;
};
