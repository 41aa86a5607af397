/** Splits a shell command line into the programs it would start. An aid, no shell: what it cannot read it says, and that is denied. */
import { type Heredoc, readHeredocMark, skipHeredocs } from './heredoc.ts';

/** Stands before everything in a word that only the shell can resolve (`$X`, `$(…)`, `{a,b}`); a line with a real NUL is denied before. */
export const UNRESOLVED = '\0';

/** One program with its arguments, and how it is joined to the one before it. */
export interface CommandPart {
  readonly words: readonly string[];
  /** Its input comes from the part before it. */
  readonly piped: boolean;
  /** It runs only when the part before it succeeded. */
  readonly afterSuccess: boolean;
  /** Files it writes and reads by redirection. */
  readonly writes: readonly string[];
  readonly reads: readonly string[];
  /** What was left out in front of the program: wrappers by name, assignments as written. */
  readonly wrappers: readonly string[];
  readonly assignments: readonly string[];
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
  'if',
  'elif',
  'while',
  'until',
  '{',
  '!',
]);

interface Scan {
  parts: CommandPart[];
  inner: string[];
  /** Why the line cannot be read. */
  unreadable: string | undefined;
}

/** The end of a `$(…)` or backtick body that starts at `from`; -1 without one. */
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
  return -1;
}

/** Mutable state of one pass over a line. */
class Splitter {
  readonly scan: Scan = { parts: [], inner: [], unreadable: undefined };
  readonly heredocs: Heredoc[] = [];
  #words: string[] = [];
  #writes: string[] = [];
  #reads: string[] = [];
  #word: string | undefined;
  #redirecting: 'writes' | 'reads' | 'text' | undefined;
  #joiner = '';

  get isInWord(): boolean {
    return this.#word !== undefined;
  }

  add(text: string): void {
    this.#word = (this.#word ?? '') + text;
  }

  fail(why: string): void {
    this.scan.unreadable ??= why;
  }

  endWord(): void {
    if (this.#word === undefined) return;
    if (this.#redirecting === 'writes') this.#writes.push(this.#word);
    else if (this.#redirecting === 'reads') this.#reads.push(this.#word);
    else if (this.#redirecting === undefined) this.#words.push(this.#word);
    this.#redirecting = undefined;
    this.#word = undefined;
  }

  redirect(kind: 'writes' | 'reads' | 'text'): void {
    // `2>` and `&>`: the number is no argument.
    if (this.#word !== undefined && /^\d$/.test(this.#word)) this.#word = undefined;
    this.endWord();
    this.#redirecting = kind;
  }

  endPart(operator: string): void {
    this.endWord();
    const [words, writes, reads] = [this.#words, this.#writes, this.#reads];
    const isEmpty = words.length + writes.length + reads.length === 0;
    // A function would be called by a name that stands for anything.
    if (operator === '(' && words.length > 0) this.fail('it defines a function or uses a bracket in a word');
    if (!isEmpty) {
      const piped = this.#joiner === '|' || this.#joiner === '|&';
      const afterSuccess = this.#joiner === '&&';
      this.scan.parts.push({ words, piped, afterSuccess, writes, reads, wrappers: [], assignments: [] });
    }
    this.#words = [];
    this.#writes = [];
    this.#reads = [];
    this.#redirecting = undefined;
    // Behind a bracket `&&` speaks of the whole bracket.
    if (!isEmpty || operator !== '&&') this.#joiner = operator;
  }
}

const EXPANDS = /^\$[\w{?@*#!$-]/;

/** Reads a quoted stretch that starts after its quote; returns where it ends. */
function readQuoted(text: string, from: number, quote: string, into: Splitter): number {
  into.add('');
  let at = from;
  while (at < text.length && text[at] !== quote) {
    if (quote === '"' && text[at] === '\\') at += 1;
    else if (quote === '"' && (text.startsWith('$(', at) || text[at] === '`')) {
      at = readSubstitution(text, at, into);
      continue;
    } else if (quote === '"' && EXPANDS.test(text.slice(at, at + 2))) into.add(UNRESOLVED);
    into.add(text[at] ?? '');
    at += 1;
  }
  if (at >= text.length) into.fail('a quote is not closed');
  return at + 1;
}

function readSubstitution(text: string, at: number, into: Splitter): number {
  const [from, close] = text[at] === '`' ? [at + 1, '`'] : [at + 2, ')'];
  const found = endOfSubstitution(text, from, close);
  if (found < 0) into.fail('a substitution is not closed');
  const end = found < 0 ? text.length : found;
  const body = text.slice(from, end);
  // `$((1 + 2))` runs nothing.
  if (close === '`' || !/^\([\w\s+*/%$-]*\)$/.test(body)) into.scan.inner.push(body);
  into.add(`${UNRESOLVED}$(${body})`);
  return end + 1;
}

/** `<`, `<<`, `<<<`, `>` and their relatives; returns where the next begins. */
function readRedirection(text: string, at: number, into: Splitter): number {
  if (text[at] === '>') {
    into.redirect('writes');
    return at + (/^>[>|&]/.test(text.slice(at, at + 2)) ? 2 : 1);
  }
  if (text.startsWith('<<<', at)) {
    into.redirect('text');
    return at + 3;
  }
  if (text.startsWith('<<', at)) {
    into.endWord();
    const mark = readHeredocMark(text, at + 2);
    if (mark === undefined) {
      into.fail('the mark of a here-document is not plain');
      return at + 2;
    }
    into.heredocs.push(mark.heredoc);
    return mark.end;
  }
  into.redirect(text[at + 1] === '>' ? 'writes' : 'reads');
  return at + (/^<[>&]/.test(text.slice(at, at + 2)) ? 2 : 1);
}

/** An operator or a plain character; returns where the next begins. */
function readOther(text: string, at: number, into: Splitter): number {
  const char = text[at] ?? '';
  const operator = OPERATORS.find((one) => text.startsWith(one, at));
  if (operator === '&' && text[at + 1] === '>') return at + 1;
  if (operator === undefined) {
    if (EXPANDS.test(text.slice(at, at + 2)) || /^\{[^\s}]*(,|\.\.)/.test(text.slice(at, at + 200)))
      into.add(UNRESOLVED);
    into.add(char);
    return at + 1;
  }
  into.endPart(operator);
  if (operator !== '\n' || into.heredocs.length === 0) return at + operator.length;
  const skipped = skipHeredocs(text, at + 1, into.heredocs.splice(0));
  if (skipped.kind === 'unreadable') into.fail(skipped.why);
  return skipped.end;
}

/** One character or construct outside quotes; returns where the next begins. */
function readPlain(text: string, at: number, into: Splitter): number {
  const char = text[at] ?? '';
  if (char === '\\') {
    if (text[at + 1] !== '\n') into.add(text[at + 1] ?? '');
    return at + 2;
  }
  if (/^\$['"]/.test(text.slice(at, at + 2))) into.fail("it uses $'…'");
  if (char === "'" || char === '"') return readQuoted(text, at + 1, char, into);
  if (char === '`' || /^[$<>]\(/.test(text.slice(at, at + 2))) return readSubstitution(text, at, into);
  if (char === ' ' || char === '\t') {
    into.endWord();
    return at + 1;
  }
  if (char === '#' && !into.isInWord) {
    const end = text.indexOf('\n', at);
    return end < 0 ? text.length : end;
  }
  if (char === '<' || char === '>') return readRedirection(text, at, into);
  return readOther(text, at, into);
}

const baseName = (word: string): string => word.slice(word.lastIndexOf('/') + 1);

/** Leaves out assignments and wrappers (with their options) in front of the program; the program by its last path part. */
function unwrap(part: CommandPart): CommandPart {
  let words = [...part.words];
  const wrappers: string[] = [];
  const assignments: string[] = [];
  for (let again = true; again; ) {
    again = false;
    for (let first = words[0]; first !== undefined && /^[A-Za-z_]\w*\+?=/.test(first); first = words[0]) {
      assignments.push(first);
      words = words.slice(1);
    }
    const wrapper = baseName(words[0] ?? '');
    if (wrapper === 'command' && /^-[vV]$/.test(words[1] ?? '')) words = ['type', ...words.slice(2)];
    else if (WRAPPERS.has(wrapper)) {
      wrappers.push(wrapper);
      words = words.slice(1);
      // `env -S` takes a whole line; any option of it but -i stays and is then an unknown program.
      const options = wrapper === 'env' ? /^-i$/ : wrapper === 'xargs' ? /^(-.*|\d+|\{\}|%)$/ : /^(-.*|\d+[smh]?)$/;
      while (words[0] !== undefined && options.test(words[0])) words = words.slice(1);
      again = true;
    }
  }
  // A program by its path stays one: what runs is the file, not the program of that name.
  const isOwnFile = /\//.test(words[0] ?? '') && !/^\/(usr\/)?(local\/)?s?bin\/[^/]+$/.test(words[0] ?? '');
  const named = isOwnFile ? words : words.map((word, index) => (index === 0 ? baseName(word) : word));
  return { ...part, words: named, wrappers, assignments };
}

export interface SplitLine {
  readonly parts: readonly CommandPart[];
  /** Why the line cannot be judged as a whole. */
  readonly unreadable: string | undefined;
}

/** Every program of the line, then those inside substitutions and `sh -c` strings. */
export function splitLine(line: string, depth = 0): SplitLine {
  const into = new Splitter();
  for (let at = 0; at < line.length; ) at = readPlain(line, at, into);
  into.endPart('');
  if (into.heredocs.length > 0) into.fail('a here-document has no end');
  if (into.scan.parts.length > PARTS_MAX) into.fail('it has too many parts');
  const own = into.scan.parts.slice(0, PARTS_MAX).map(unwrap);
  const scripts = own.flatMap(({ words }) => {
    const at = SHELLS.has(words[0] ?? '') ? words.findIndex((word) => /^-[a-z]*c$/.test(word)) : -1;
    const script = at < 0 ? undefined : words[at + 1];
    return script === undefined ? [] : [script];
  });
  const bodies = [...into.scan.inner, ...scripts];
  if (depth >= DEPTH_MAX)
    return { parts: own, unreadable: into.scan.unreadable ?? (bodies[0] && 'it is nested too deep') };
  const nested = bodies.map((text) => splitLine(text, depth + 1));
  const unreadable = into.scan.unreadable ?? nested.find((one) => one.unreadable !== undefined)?.unreadable;
  return { parts: [...own, ...nested.flatMap(({ parts }) => parts)], unreadable };
}

export const splitCommand = (line: string): readonly CommandPart[] => splitLine(line).parts;
