/** `village start`: the village of this checkout, in the foreground; the same as `npm start`. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Run } from '../run.ts';

const MAIN = fileURLToPath(new URL('../../local/main.ts', import.meta.url));
const Options = z.object({
  dataDir: z.string().optional(),
  port: z.string().optional(),
  dynamodbEndpoint: z.string().optional(),
  chaos: z.string().optional(),
  open: z.boolean().default(true),
});

/** Arguments of local/main.ts. */
export const startArguments = (options: Readonly<Record<string, unknown>>): string[] => {
  const { dataDir, port, dynamodbEndpoint, chaos, open } = Options.parse(options);
  const named = { '--data-dir': dataDir, '--port': port, '--dynamodb-endpoint': dynamodbEndpoint, '--chaos': chaos };
  const given = Object.entries(named).flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
  return open ? given : [...given, '--no-open'];
};

export const addStart = (program: Command, run: Run): void => {
  program
    .command('start')
    .description('start the village on this machine and stay with it')
    .option('--port <n>', 'port of page and API')
    .option('--dynamodb-endpoint <url>', 'another DynamoDB than the embedded one')
    .option('--chaos <spec>', 'seeded faults')
    .option('--no-open', 'do not open a browser')
    .action(
      run(async (_context, _args, options) => {
        const child = spawn(process.execPath, [MAIN, ...startArguments(options)], { stdio: 'inherit' });
        // Ctrl-C reaches the child by itself (one process group); the others have to be handed on.
        const forward = (signal: NodeJS.Signals) => void child.kill(signal);
        process.removeAllListeners('SIGINT').on('SIGINT', () => {});
        process.on('SIGTERM', forward);
        process.on('SIGHUP', forward);
        return new Promise<number>((resolve, reject) => {
          child.once('error', reject);
          child.once('exit', (code) => resolve(code ?? 1));
        });
      }),
    );
};
