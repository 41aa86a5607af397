/** Feeds the screen model in stream order behind the spool, and knows for which offset its picture is true. */
import { SCREEN_BACKLOG_MAX_BYTES } from './caps.ts';
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
  readonly onProgress: () => void;
}

/** A screen that first catches up with `before`; its tasks run strictly in order. */
export const streamScreen = (options: StreamScreenOptions): StreamScreen => {
  const { model, epoch, startOffset, headOffset, size, before, onProgress } = options;
  const tasks: Task[] = [];
  let isRunning = false;
  let writtenOffset = headOffset;
  let parsedOffset = startOffset;
  let current = size;

  const takeText = (): string => {
    let text = '';
    for (let next = tasks[0]; next?.kind === 'write' && text.length < BATCH_CHARS; next = tasks[0]) {
      text += next.text;
      parsedOffset = next.endOffset;
      tasks.shift();
    }
    return text;
  };
  const shoot = (): SnapshotResult => {
    const picture = model.snapshot();
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
  const run = async (): Promise<void> => {
    isRunning = true;
    for (let task = tasks[0]; task !== undefined; task = tasks[0]) {
      if (task.kind === 'write') {
        await model.write(takeText());
        onProgress();
        continue;
      }
      tasks.shift();
      if (task.kind === 'resize') await setSize(task.size);
      else task.done(shoot());
    }
    isRunning = false;
  };
  isRunning = true;
  // A failure here (a spool that cannot be read, a parser that throws) is a broken invariant and ends the process.
  void replay().then(run);
  const add = (task: Task): void => {
    tasks.push(task);
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
