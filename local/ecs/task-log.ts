/** Output of a task on disk, up to a cap: a task that never stops talking must not fill the disk. */
import { createWriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { TASK_LOG_MAX_BYTES } from './ecs-limits.ts';

/** Drains the streams into the file (owner only); beyond `maxBytes` it reads on and notes once that the rest is left out. */
export const logStreams = (path: string, streams: readonly Readable[], maxBytes = TASK_LOG_MAX_BYTES): void => {
  const file = createWriteStream(path, { flags: 'a', mode: 0o600 });
  // A full disk loses the log, not the task; the task's own pipe must stay drained.
  file.on('error', (error) => process.emitWarning(`task log ${path}: ${error.message}`));
  let written = 0;
  let open = streams.length;
  const onData = (chunk: Buffer): void => {
    if (written > maxBytes) return;
    written += chunk.length;
    file.write(written > maxBytes ? `\n[log cut at ${maxBytes} bytes]\n` : chunk);
  };
  for (const stream of streams) {
    stream.on('data', onData);
    stream.on('error', () => {}); // The pipe of a killed process: its end is what we wait for.
    stream.once('close', () => {
      open -= 1;
      if (open === 0) file.end();
    });
  }
};
