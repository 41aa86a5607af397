/** Reads a unified git patch into files, hunks and numbered lines; what it cannot read it shows as it is. */

export interface PatchLine {
  readonly kind: 'context' | 'added' | 'removed' | 'note';
  readonly text: string;
  readonly oldLine: number | null;
  readonly newLine: number | null;
}
export interface PatchHunk {
  readonly header: string;
  readonly lines: readonly PatchLine[];
}
export interface PatchFile {
  readonly path: string;
  readonly hunks: readonly PatchHunk[];
  /** `Binary files … differ`, mode changes: what stands before the first hunk and is worth telling. */
  readonly notes: readonly string[];
  /** Its part of the patch, as git wrote it. */
  readonly raw: string;
}

const HUNK = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@ ?(.*)$/;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '"': '"', '\\': '\\' };

/** git quotes paths with odd bytes: "a/\303\251.txt". */
const unquote = (text: string): string => {
  if (!text.startsWith('"') || !text.endsWith('"')) return text;
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  for (const [token] of text.slice(1, -1).matchAll(/\\[0-7]{3}|\\.|[^\\]+/gs)) {
    if (/^\\[0-7]{3}$/.test(token)) bytes.push(Number.parseInt(token.slice(1), 8));
    else bytes.push(...encoder.encode(token.startsWith('\\') ? (ESCAPES[token.slice(1)] ?? token.slice(1)) : token));
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
};
const stripSide = (name: string): string => unquote(name.replace(/\t$/, '')).replace(/^[ab]\//, '');

/** `diff --git a/x b/x`: both names are equal unless renamed, so half of the line is the name. */
const pathOfHeader = (line: string): string => {
  const rest = line.slice('diff --git '.length);
  if (rest.startsWith('"')) return stripSide(rest.slice(rest.lastIndexOf(' "') + 1));
  const half = rest.slice((rest.length + 1) / 2);
  return rest.startsWith(`a/${half.slice(2)} `) ? half.slice(2) : stripSide(rest.slice(rest.lastIndexOf(' b/') + 1));
};

const NOTES =
  /^(Binary files .*|GIT binary patch|old mode .*|new mode .*|rename (from|to) .*|deleted file.*|new file.*)$/;

export const parsePatch = (patch: string): PatchFile[] => {
  const blocks = patch.split(/^(?=diff --git )/m).filter((block) => block.startsWith('diff --git '));
  return blocks.map(parseFile);
};

const parseFile = (block: string): PatchFile => {
  const lines = block.replace(/\n$/, '').split('\n');
  const firstHunk = lines.findIndex((line) => HUNK.test(line));
  const head = firstHunk === -1 ? lines : lines.slice(0, firstHunk);
  const named = head.find((line) => line.startsWith('+++ ') && line !== '+++ /dev/null');
  const path = named === undefined ? pathOfHeader(lines[0] ?? '') : stripSide(named.slice(4));
  return {
    path,
    hunks: firstHunk === -1 ? [] : parseHunks(lines.slice(firstHunk)),
    notes: head.filter((line) => NOTES.test(line)),
    raw: block,
  };
};

const parseHunks = (lines: readonly string[]): PatchHunk[] => {
  const hunks: { header: string; lines: PatchLine[] }[] = [];
  let oldLine = 0;
  let newLine = 0;
  for (const line of lines) {
    const match = HUNK.exec(line);
    if (match !== null) {
      oldLine = Number(match[1]);
      newLine = Number(match[2]);
      hunks.push({ header: match[3] ?? '', lines: [] });
      continue;
    }
    const text = line.slice(1);
    const into = hunks.at(-1)?.lines;
    if (line.startsWith('+')) into?.push({ kind: 'added', text, oldLine: null, newLine: newLine++ });
    else if (line.startsWith('-')) into?.push({ kind: 'removed', text, oldLine: oldLine++, newLine: null });
    else if (line.startsWith('\\')) into?.push({ kind: 'note', text: text.trim(), oldLine: null, newLine: null });
    else into?.push({ kind: 'context', text, oldLine: oldLine++, newLine: newLine++ });
  }
  return hunks;
};
