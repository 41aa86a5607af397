#!/usr/bin/env node
/** Entry of the `village` command. */
import { EXIT } from './cli-error.ts';
import { runCli } from './program.ts';

// A reader that went away (`village … | head`) is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
  throw error;
});
process.once('SIGINT', () => process.exit(EXIT.cancelled));
process.exitCode = await runCli(process.argv.slice(2), process.env);
