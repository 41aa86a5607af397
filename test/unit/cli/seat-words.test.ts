/** What the title bar of an attached terminal says, and which keys are taken from the session for it. */
import { describe, expect, it } from 'vitest';
import { createDetachKeys } from '../../../cli/viewer/detach-keys.ts';
import { offersOf, seatWords } from '../../../cli/viewer/seat-words.ts';

const grace = { viewerId: 'g', userId: 'grace', device: 'Safari on an iPhone', mode: 'watch' as const, sinceMs: 0 };
const me = { viewerId: 'm', userId: 'ada', device: 'command line', mode: 'watch' as const, sinceMs: 0 };
const watching = {
  mode: 'watch' as const,
  controllerId: 'g',
  presence: [grace, me],
  askedBy: null,
  asking: null,
  live: true,
};
const leading = { ...watching, mode: 'control' as const, controllerId: 'm' };

describe('the title bar', () => {
  it.each([
    [leading, 'you have the keyboard · 2 here', []],
    [{ ...leading, presence: [me] }, 'you have the keyboard', []],
    [
      { ...leading, askedBy: grace },
      'grace (Safari on an iPhone) asks for the keyboard: ctrl-p ctrl-y allows',
      ['allow', 'keep'],
    ],
    [watching, 'watching, grace (Safari on an iPhone) types: ctrl-p ctrl-t asks', ['ask']],
    [{ ...watching, controllerId: null }, 'watching: ctrl-p ctrl-t takes the keyboard', ['ask']],
    [{ ...watching, asking: 'waiting' as const }, 'asked grace', []],
    [
      { ...watching, asking: 'declined' as const },
      'grace (Safari on an iPhone) keeps the keyboard: ctrl-p ctrl-t',
      ['ask'],
    ],
    [{ ...watching, asking: 'unanswered' as const }, 'does not answer: ctrl-p ctrl-o takes control anyway', ['take']],
    [{ ...watching, live: false }, 'watching', []],
  ])('%#', (seat, words, offers) => {
    expect(seatWords(seat)).toContain(words);
    expect(offersOf(seat)).toEqual(offers);
  });
});

describe('keys after ctrl-p', () => {
  it('answer while it is asked, and are the session’s otherwise', () => {
    expect(createDetachKeys(() => ['allow', 'keep'])('a\x10\x19b')).toEqual({
      data: 'ab',
      detach: false,
      chosen: ['allow'],
    });
    expect(createDetachKeys()('a\x10\x0eb')).toEqual({ data: 'a\x10\x0eb', detach: false, chosen: [] });
    expect(createDetachKeys(() => ['ask'])('\x10\x0e\x10\x14')).toEqual({
      data: '\x10\x0e',
      detach: false,
      chosen: ['ask'],
    });
  });
});
