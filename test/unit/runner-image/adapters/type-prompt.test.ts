import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { asPrompt } from '../../../../runner-image/src/adapters/claude-code/prompt-typer.ts';
import { asPlainText } from '../../../../runner-image/src/adapters/type-prompt.ts';

describe('asPlainText', () => {
  it('keeps words, tabs and line ends', () => expect(asPlainText('a\tb\r\nc\rd\né 🏠')).toBe('a\tb\nc\nd\né 🏠'));
  it('cannot end a paste or press a key, whatever it is made of', () => {
    const nasty = fc.string({
      unit: fc.constantFrom('\x1b', '[', '2', '0', '1', '~', '\x9b', '\r', '\x03', '\x7f', 'a', '\n'),
    });
    fc.assert(
      fc.property(nasty, (text) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: looked for on purpose
        expect(asPlainText(text)).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
      }),
    );
  });
});

describe('asPrompt', () => {
  it.each(['!ls', '/exit', '#note', '@file', '& x', '\x1b  !ls', '\n/exit'])(
    'does not let %j switch the mode of the input box',
    (text) => {
      expect(asPrompt(text)).toMatch(/^Task: /);
    },
  );
  it.each(['- fix it', '--help', 'plain', '1. one'])('leaves %j as it is', (text) => expect(asPrompt(text)).toBe(text));
});
