/** Opens the page where there is somebody to look at it. */
import { spawn } from 'node:child_process';

export const hasDisplay = (env: NodeJS.ProcessEnv): boolean =>
  env.CI === undefined && Boolean(env.DISPLAY || env.WAYLAND_DISPLAY);

/** Never fails: the link is printed anyway. */
export const openBrowser = (url: string): void => {
  const child = spawn('xdg-open', [url], { stdio: 'ignore', detached: true });
  child.on('error', () => {}); // No xdg-open here: the printed link does.
  child.unref();
};
