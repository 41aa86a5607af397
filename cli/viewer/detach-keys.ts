/** Finds the keys that leave an attached session: ctrl-], or ctrl-p ctrl-q as with containers. */

const CTRL_RIGHT_BRACKET = '\x1d';
const CTRL_P = '\x10';
const CTRL_Q = '\x11';

export interface Typed {
  /** What goes to the session. */
  readonly data: string;
  readonly detach: boolean;
}

/** A ctrl-p is kept until the next key tells what it means. */
export const createDetachKeys = (): ((input: string) => Typed) => {
  let isPrefixed = false;
  return (input) => {
    let data = '';
    for (const key of input) {
      if (key === CTRL_RIGHT_BRACKET || (isPrefixed && key === CTRL_Q)) return { data, detach: true };
      if (isPrefixed) data += CTRL_P;
      isPrefixed = key === CTRL_P;
      if (!isPrefixed) data += key;
    }
    return { data, detach: false };
  };
};
