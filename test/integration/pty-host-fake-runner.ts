/** A runner as small as the pty-host tests need; what it does is named by FAKE_RUNNER_MODE. */
import { appendFileSync, existsSync, statSync } from 'node:fs';
import { connectPtyHost } from '../../runner-image/src/pty-host/client.ts';

const { FAKE_RUNNER_MODE: mode, FAKE_RUNNER_FILE: file = '', VILLAGE_PTY_SOCKET: socketPath = '' } = process.env;

if (mode === 'crash') process.exit(7);
if (mode === 'done') process.exit(0);

const host = await connectPtyHost(socketPath);
void host.lost.then(() => process.exit(9));
if (mode === 'last-words') {
  process.on('SIGTERM', () => {
    process.stdout.write('drained\n');
    process.exit(0);
  });
  const isSecond = existsSync(file);
  appendFileSync(file, '.');
  if (isSecond) await host.settled();
} else if (mode !== 'stubborn') process.on('SIGTERM', () => process.exit(0));
else process.on('SIGTERM', () => process.stdout.write('asked to drain\n'));
process.stdout.write(`${JSON.stringify({ pid: process.pid, socketPath })}\n`);

/** Writes every byte of the program to the file, then acknowledges: the file's size is where a successor reads on. */
if (mode === 'record') {
  const known = (await host.list()).some(({ id }) => id === 'recorded');
  const process_ = known
    ? await host.adopt('recorded', existsSync(file) ? statSync(file).size : 0)
    : await host.spawn({
        id: 'recorded',
        file: '/bin/bash',
        args: ['-c', process.env.FAKE_RUNNER_COMMAND ?? ''],
        env: { PATH: '/usr/bin:/bin' },
        cwd: '/',
        cols: 80,
        rows: 24,
      });
  process_.onData((bytes, rawOffset) => {
    appendFileSync(file, bytes);
    process_.ack(rawOffset + bytes.length);
  });
  const exit = await process_.exited;
  process.stdout.write(`${JSON.stringify({ exit })}\n`);
}
