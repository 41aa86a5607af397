/** Splits a shell command line into the programs it would start. An aid for the deny list, no shell: what it cannot see is named in the docs. */

/** One program with its arguments, and how it is joined to the one before it. */
export interface CommandPart {
  readonly words: readonly string[];
  /** Its input comes from the part before it. */
  readonly piped: boolean;
  /** Files it writes by redirection. */
  readonly writes: readonly string[];
}

/** Nesting of substitutions and `sh -c` that is looked into. */
const DEPTH_MAX = 5;
const PARTS_MAX = 500;

const OPERATORS = ['&&', '||', '|&', ';;', '|', ';', '&', '\n', '(', ')'] as const;
const SHELLS = new Set(['sh', 'bash', 'dash', 'zsh', 'ksh']);
/** Programs that start the program named by their remaining words. */
const WRAPPERS = new Set([
  'env',
  'nohup',
  'time',
  'command',
  'exec',
  'builtin',
  'nice',
  'stdbuf',
  'timeout',
  'xargs',
  'setsid',
  'eval',
  'then',
  'do',
  'else',
  '{',
  '!',
]);

interface Scan {
  parts: CommandPart[];
  inner: string[];
}

/** The end of a `$(…)` or backtick body that starts at `from`. */
function endOfSubstitution(text: string, from: number, close: string): number {
  let depth = 1;
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (close === ')' && text[at] === '(') depth += 1;
    else if (text[at] === close) {
      depth -= 1;
      if (depth === 0) return at;
    }
  }
  return text.length;
}

/** Mutable state of one pass over a line. */
class Splitter {
  readonly scan: Scan = { parts: [], inner: [] };
  private words: string[] = [];
  private writes: string[] = [];
  private word: string | undefined;
  private redirecting = false;
  private piped = false;

  add(text: string): void {
    this.word = (this.word ?? '') + text;
  }

  endWord(): void {
    if (this.word === undefined) return;
    if (this.redirecting) this.writes.push(this.word);
    else this.words.push(this.word);
    this.redirecting = false;
    this.word = undefined;
  }

  redirect(): void {
    // `2>` and `&>`: the number is no argument.
    if (this.word !== undefined && /^\d$/.test(this.word)) this.word = undefined;
    this.endWord();
    this.redirecting = true;
  }

  endPart(operator: string): void {
    this.endWord();
    if (this.words.length > 0 || this.writes.length > 0) {
      this.scan.parts.push({ words: this.words, piped: this.piped, writes: this.writes });
    }
    this.words = [];
    this.writes = [];
    this.redirecting = false;
    this.piped = operator === '|' || operator === '|&';
  }
}

/** Reads a quoted stretch that starts after its quote; returns where it ends. */
function readQuoted(text: string, from: number, quote: string, into: Splitter): number {
  into.add('');
  let at = from;
  while (at < text.length && text[at] !== quote) {
    if (quote === '"' && text[at] === '\\') at += 1;
    else if (quote === '"' && (text.startsWith('$(', at) || text[at] === '`')) {
      at = readSubstitution(text, at, into);
      continue;
    }
    into.add(text[at] ?? '');
    at += 1;
  }
  return at + 1;
}

function readSubstitution(text: string, at: number, into: Splitter): number {
  const [from, close] = text[at] === '`' ? [at + 1, '`'] : [at + 2, ')'];
  const end = endOfSubstitution(text, from, close);
  const body = text.slice(from, end);
  into.scan.inner.push(body);
  into.add(`$(${body})`);
  return end + 1;
}

/** One character or construct outside quotes; returns where the next begins. */
function readPlain(text: string, at: number, into: Splitter): number {
  const char = text[at] ?? '';
  if (char === '\\') {
    if (text[at + 1] !== '\n') into.add(text[at + 1] ?? '');
    return at + 2;
  }
  if (char === "'" || char === '"') return readQuoted(text, at + 1, char, into);
  if (char === '`' || /^[$<>]\(/.test(text.slice(at, at + 2))) return readSubstitution(text, at, into);
  if (char === ' ' || char === '\t') {
    into.endWord();
    return at + 1;
  }
  if (char === '>') {
    into.redirect();
    return at + (/^>[>|&]/.test(text.slice(at, at + 2)) ? 2 : 1);
  }
  const operator = OPERATORS.find((one) => text.startsWith(one, at));
  if (operator === '&' && text[at + 1] === '>') return at + 1;
  if (operator === undefined) {
    into.add(char);
    return at + 1;
  }
  into.endPart(operator);
  return at + operator.length;
}

const baseName = (word: string): string => word.slice(word.lastIndexOf('/') + 1);

/** Leaves out assignments and wrappers (with their options) in front of the program; the program by its last path part. */
function unwrap(part: CommandPart): CommandPart {
  let words = [...part.words];
  for (let again = true; again; ) {
    again = false;
    while (words[0] !== undefined && /^[A-Za-z_][A-Za-z0-9_]*=/.test(words[0])) words = words.slice(1);
    if (words[0] !== undefined && WRAPPERS.has(baseName(words[0]))) {
      words = words.slice(1);
      while (words[0] !== undefined && (/^-/.test(words[0]) || /^\d+[smh]?$/.test(words[0]))) words = words.slice(1);
      again = true;
    }
  }
  return { ...part, words: words.map((word, index) => (index === 0 ? baseName(word) : word)) };
}

/** Every program of the line, those inside substitutions and `sh -c` strings included, in no promised order between nesting levels. */
export function splitCommand(line: string, depth = 0): readonly CommandPart[] {
  const into = new Splitter();
  for (let at = 0; at < line.length; ) at = readPlain(line, at, into);
  into.endPart('');
  const parts = into.scan.parts.slice(0, PARTS_MAX).map(unwrap);
  if (depth >= DEPTH_MAX) return parts;
  const nested = parts.flatMap(({ words }) => {
    const script = SHELLS.has(words[0] ?? '')
      ? words[words.findIndex((word) => /^-[a-z]*c$/.test(word)) + 1]
      : undefined;
    return script !== undefined && words.some((word) => /^-[a-z]*c$/.test(word)) ? [script] : [];
  });
  return [...parts, ...[...into.scan.inner, ...nested].flatMap((text) => splitCommand(text, depth + 1))];
}
