/** Finds the keys that are for the command and not for the session: ctrl-] leaves, ctrl-p and another key as the situation offers. */

const CTRL_RIGHT_BRACKET = '\x1d';
const CTRL_P = '\x10';
const CTRL_Q = '\x11';

/** What ctrl-p offers beside leaving: allow or keep while somebody asks for the keyboard, ask while somebody else has it. */
export type Offer = 'allow' | 'keep' | 'ask' | 'take';
const OFFER_KEYS: Readonly<Record<string, Offer>> = { '\x19': 'allow', '\x0e': 'keep', '\x14': 'ask', '\x0f': 'take' };

export interface Typed {
  /** What goes to the session. */
  readonly data: string;
  readonly detach: boolean;
  readonly chosen: readonly Offer[];
}

/** A ctrl-p is kept until the next key tells what it means; what is not on offer goes to the session. */
export const createDetachKeys = (offers: () => readonly Offer[] = () => []): ((input: string) => Typed) => {
  let isPrefixed = false;
  return (input) => {
    let data = '';
    const chosen: Offer[] = [];
    for (const key of input) {
      if (key === CTRL_RIGHT_BRACKET || (isPrefixed && key === CTRL_Q)) return { data, detach: true, chosen };
      const offer = isPrefixed ? OFFER_KEYS[key] : undefined;
      if (offer !== undefined && offers().includes(offer)) {
        chosen.push(offer);
        isPrefixed = false;
        continue;
      }
      if (isPrefixed) data += CTRL_P;
      isPrefixed = key === CTRL_P;
      if (!isPrefixed) data += key;
    }
    return { data, detach: false, chosen };
  };
};
