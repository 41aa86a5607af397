/** Steps over here-documents: their lines are text for a program, not commands. */

export interface Heredoc {
  readonly mark: string;
  /** The shell leaves the text as it is. */
  readonly isLiteral: boolean;
  /** `<<-`: tabs before the closing mark do not count. */
  readonly isIndented: boolean;
}

/** The mark behind `<<` at `from` and where it ends; undefined when it is no plain word. */
export function readHeredocMark(text: string, from: number): { heredoc: Heredoc; end: number } | undefined {
  const found = /^(-?)[ \t]*(?:'(\w+)'|"(\w+)"|\\?(\w+))(?=[\s;|&)<>]|$)/.exec(text.slice(from, from + 200));
  if (found === null) return undefined;
  const mark = found[2] ?? found[3] ?? found[4] ?? '';
  const isLiteral = found[4] === undefined || found[0].includes('\\');
  return { heredoc: { mark, isLiteral, isIndented: found[1] === '-' }, end: from + found[0].length };
}

export type Skipped =
  | { readonly kind: 'skipped'; readonly end: number }
  | { readonly kind: 'unreadable'; readonly end: number; readonly why: string };

/** Where the line after the last of `heredocs` begins; their text begins at `from`. */
export function skipHeredocs(text: string, from: number, heredocs: readonly Heredoc[]): Skipped {
  let at = from;
  for (const { mark, isLiteral, isIndented } of heredocs) {
    for (let isOpen = true; isOpen; ) {
      if (at >= text.length) return { kind: 'unreadable', end: at, why: 'a here-document has no end' };
      const newline = text.indexOf('\n', at);
      const end = newline < 0 ? text.length : newline;
      const line = text.slice(at, end);
      at = end + 1;
      isOpen = (isIndented ? line.replace(/^\t+/, '') : line) !== mark;
      if (!isLiteral && /`|\$\(/.test(line))
        return { kind: 'unreadable', end: at, why: 'a here-document runs a substitution' };
    }
  }
  return { kind: 'skipped', end: at };
}
