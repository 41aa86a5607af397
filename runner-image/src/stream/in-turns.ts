/** Long work on a screen in pieces: a key of another session must not wait for the whole of it. */

/** Work that may be left at each `yield`, for whatever else there is to do. */
export type Work<T> = Generator<undefined, T, void>;

export const atOnce = <T>(work: Work<T>): T => {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
};

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** `undefined` when `isOver` said so in between. */
export const inTurns = async <T>(work: Work<T>, isOver: () => boolean): Promise<T | undefined> => {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    await turn();
    if (isOver()) return undefined;
  }
};
