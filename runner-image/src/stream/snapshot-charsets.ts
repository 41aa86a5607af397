/** Which character set a terminal has designated, told by what it maps: xterm.js keeps the map and forgets the name. */
export type Charset = Readonly<Record<string, string>> | undefined;

const ASCII = 'B';
/** What @ [ { become in each set (as xterm.js has them), and the final character that designates it. */
const SETS: Readonly<Record<string, string>> = {
  '¾ij¨': '4',
  '@Ää': 'C',
  'à°é': 'R',
  àâé: 'Q',
  '§Ää': 'K',
  '§°à': 'Y',
  ÄÆæ: 'E',
  '§¡°': 'Z',
  ÉÄä: 'H',
  àéä: '=',
};

/** The final character of the sequence that designates it; ASCII for one that is not known. */
export const designationOf = (charset: Charset): string => {
  if (charset === undefined) return ASCII;
  if (charset['`'] === '◆') return '0';
  const told = ['@', '[', '{'].map((character) => charset[character] ?? character).join('');
  return SETS[told] ?? (charset['#'] === '£' && told === '@[{' ? 'A' : ASCII);
};
