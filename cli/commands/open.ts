/** `village open`: a new way into the page, since each link works once. */
import { spawn } from 'node:child_process';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Run } from '../run.ts';

const SignInLink = z.object({ url: z.url() });

/** Where there is somebody to look at it; the link is printed in every case. */
const openBrowser = (url: string): void => {
  const child = spawn('xdg-open', [url], { stdio: 'ignore', detached: true });
  child.on('error', () => {}); // No xdg-open here: the printed link does.
  child.unref();
};

export const addOpen = (program: Command, run: Run): void => {
  program
    .command('open')
    .description('print a sign-in link for the page, and open it where there is a display')
    .option('--no-browser', 'print only')
    .action(
      run(async ({ output, api, env }, _args, { browser }) => {
        const link = await api().post('/api/signin-links', {}, SignInLink);
        if (output.json) return output.object(link);
        output.line(link.url);
        if (browser !== false && process.stdout.isTTY && (env.DISPLAY || env.WAYLAND_DISPLAY)) openBrowser(link.url);
      }),
    );
};
