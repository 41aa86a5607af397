/** Feeds the screen model in stream order behind the spool, and knows for which offset its picture is true. */
import type { Clock } from '../../../shared/clock.ts';
import { SCREEN_BACKLOG_MAX_BYTES } from '../../../shared/limits.ts';
import type { ScreenModel } from './screen-model.ts';

export interface Size {
  readonly sizeRev: number;
  readonly cols: number;
  readonly rows: number;
}
export interface Snapshot extends Size {
  readonly epoch: number;
  /** The stream goes on from here. */
  readonly offset: number;
  readonly data: string;
}
export type SnapshotResult =
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
  | { readonly kind: 'not_at_ground' };

export interface StreamScreen {
  write(text: string, endOffset: number): void;
  resize(size: Size): void;
  /** Taken after everything written before the call. */
  snapshot(): Promise<SnapshotResult>;
  /** Bytes that are not parsed yet; `onProgress` is called whenever this falls. */
  readonly backlogBytes: number;
  readonly isBehind: boolean;
}

export type ScreenTask =
  | { readonly kind: 'write'; readonly text: string; readonly endOffset: number }
  | { readonly kind: 'resize'; readonly size: Size };
type Task = ScreenTask | { readonly kind: 'snapshot'; readonly done: (result: SnapshotResult) => void };

/** A batch of this size is a flood; the next one gathers for so long. */
const FLOOD_CHARS = 32 * 1024;
const GATHER_MS = 40;
/** Neighbouring pieces are parsed together up to this many characters: each write costs a turn of the loop. */
const BATCH_CHARS = 2 * 1024 * 1024;

export interface StreamScreenOptions {
  readonly model: ScreenModel;
  readonly epoch: number;
  readonly startOffset: number;
  /** What was written before: reached when `before` is done. */
  readonly headOffset: number;
  readonly size: Size;
  /** What comes first, taken as it is needed; `onReplayed` follows its last task. */
  readonly before: { readonly tasks: Iterator<ScreenTask>; readonly onReplayed: () => void };
  readonly clock: Clock;
  readonly onProgress: () => void;
}

/** A screen that first catches up with `before`; its tasks run strictly in order. */
export const streamScreen = (options: StreamScreenOptions): StreamScreen => {
  const { model, epoch, startOffset, headOffset, size, before, clock, onProgress } = options;
  const tasks: Task[] = [];
  let isRunning = false;
  let writtenOffset = headOffset;
  let parsedOffset = startOffset;
  let current = size;
  let wake = (): void => {};

  const takeText = (): string => {
    let text = '';
    for (let next = tasks[0]; next?.kind === 'write' && text.length < BATCH_CHARS; next = tasks[0]) {
      text += next.text;
      parsedOffset = next.endOffset;
      tasks.shift();
    }
    return text;
  };
  const shoot = async (): Promise<SnapshotResult> => {
    const picture = await model.snapshotInTurns();
    if (picture.kind === 'not_at_ground') return picture;
    const offset = parsedOffset - model.heldBytes;
    const { sizeRev, cols, rows } = current;
    return { kind: 'snapshot', snapshot: { epoch, offset, sizeRev, cols, rows, data: picture.data } };
  };
  const setSize = async (next: Size): Promise<void> => {
    await model.resize(next.cols, next.rows);
    current = next;
  };
  const replay = async (): Promise<void> => {
    for (let next = before.tasks.next(); !next.done; next = before.tasks.next()) {
      if (next.value.kind === 'resize') await setSize(next.value.size);
      else {
        await model.write(next.value.text);
        parsedOffset = next.value.endOffset;
      }
    }
    before.onReplayed();
  };
  /** In a flood most of what gathers scrolls away undrawn; whoever asks for the picture ends the wait. */
  const gather = (): Promise<void> =>
    new Promise((resolve) => {
      const cancel = clock.after(GATHER_MS, resolve);
      wake = () => {
        cancel();
        resolve();
      };
    });
  const run = async (): Promise<void> => {
    isRunning = true;
    for (let task = tasks[0]; task !== undefined; task = tasks[0]) {
      if (task.kind === 'write') {
        const text = takeText();
        await model.write(text);
        onProgress();
        if (text.length >= FLOOD_CHARS && tasks.every(({ kind }) => kind === 'write')) await gather();
        continue;
      }
      tasks.shift();
      if (task.kind === 'resize') await setSize(task.size);
      else task.done(await shoot());
    }
    isRunning = false;
  };
  isRunning = true;
  // A failure here (a spool that cannot be read, a parser that throws) is a broken invariant and ends the process.
  void replay().then(run);
  const add = (task: Task): void => {
    tasks.push(task);
    const isUrgent = task.kind !== 'write' || writtenOffset - parsedOffset > SCREEN_BACKLOG_MAX_BYTES / 2;
    if (isUrgent) wake();
    if (!isRunning) void run();
  };
  return {
    write(text, endOffset) {
      writtenOffset = endOffset;
      add({ kind: 'write', text, endOffset });
    },
    resize: (next) => add({ kind: 'resize', size: next }),
    snapshot: () => new Promise((done) => add({ kind: 'snapshot', done })),
    get backlogBytes() {
      return writtenOffset - parsedOffset;
    },
    get isBehind() {
      return writtenOffset - parsedOffset > SCREEN_BACKLOG_MAX_BYTES;
    },
  };
};
