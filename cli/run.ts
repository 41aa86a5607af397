/** The one way a command runs: context made, errors shown once, exit code set. */
import type { Command } from 'commander';
import { CliError, EXIT } from './cli-error.ts';
import { type CommandContext, createContext, type GlobalOptions } from './context.ts';

export type Action = (
  context: CommandContext,
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
  // A number is the exit code; anything else is 0.
) => unknown;
/** Makes a commander action; commander hands it arguments, options and the command. */
export type Run = (action: Action) => (...given: unknown[]) => Promise<void>;

const toCliError = (error: unknown): CliError => {
  if (error instanceof CliError) return error;
  return new CliError('failed', error instanceof Error ? error.message : String(error));
};

const isCommand = (value: unknown): value is Command =>
  typeof value === 'object' && value !== null && 'optsWithGlobals' in value;

/** `setExitCode` gets the code of every command that ran. */
export const createRun =
  (env: NodeJS.ProcessEnv, setExitCode: (code: number) => void): Run =>
  (action) =>
  async (...given) => {
    const command = given.at(-1);
    if (!isCommand(command)) throw new Error('commander hands its command over last');
    const options: GlobalOptions & Record<string, unknown> = command.optsWithGlobals();
    const context = createContext(options, env);
    try {
      const code = await action(context, command.args, options);
      setExitCode(typeof code === 'number' ? code : EXIT.ok);
    } catch (error) {
      const known = toCliError(error);
      context.output.error(known);
      setExitCode(known.exitCode);
    }
  };
