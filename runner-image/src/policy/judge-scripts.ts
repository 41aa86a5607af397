/** Judges the small languages of sed, awk and find, which can write and start programs. */
import { type Denial, judgePaths, type Reach, undecodable } from './judge-paths.ts';
import { UNRESOLVED } from './split-command.ts';

const ADDRESS = String.raw`(?:\d+(?:~\d+)?|\$|\+\d+|/(?:\\.|[^/\\\n])*/I?)`;
const SED_COMMAND = new RegExp(
  String.raw`[\s;]*(?:${ADDRESS}(?:,${ADDRESS})?\s*)?!?\s*(?:[pdDnNhHgGxlPqQ={}]\d*|s([^\w\s\\])(?:\\.|(?!\1)[^\\\n])*\1(?:\\.|(?!\1)[^\\])*\1[gpiIM0-9]*|y/[^/\n]*/[^/\n]*/|[aic]\\?[^\n]*)[ \t]*(?:$|[;\n]|(?<=\{)|(?=\}))[\s;]*`,
  'y',
);

/** Whether a sed script only prints, deletes and replaces: `w`, `r` and `e` reach files and programs. */
export function isPlainSed(script: string): boolean {
  if (script.length > 4_096) return false;
  SED_COMMAND.lastIndex = 0;
  while (SED_COMMAND.lastIndex < script.length) {
    const from = SED_COMMAND.lastIndex;
    const found = SED_COMMAND.exec(script);
    if (found === null || SED_COMMAND.lastIndex === from) return false;
  }
  return true;
}

const SED_TEXT = /^(-[nErsuz]*e|--expression)$/;

/** `words` without the `sed` itself. */
export function judgeSed(words: readonly string[], reach: Reach): Denial | undefined {
  const options = words.filter((word) => /^-./.test(word));
  const refused = options.find(
    (word) => !/^(-[nErsuz]*[ei]?|-i\.\w+|--expression|--quiet|--in-place|--regexp-extended)$/.test(word),
  );
  if (refused !== undefined) return undecodable(`the policy does not know sed ${refused}`);
  const scripts = words.filter((_, index) => SED_TEXT.test(words[index - 1] ?? ''));
  const rest = words.filter((word, index) => !/^-./.test(word) && !SED_TEXT.test(words[index - 1] ?? ''));
  if (scripts.length === 0) scripts.push(rest.shift() ?? '');
  if (scripts.some((script) => script.includes(UNRESOLVED) || !isPlainSed(script)))
    return undecodable('the sed script may write files or start programs');
  return judgePaths(rest, options.some((word) => /^(-[nErsuz]*i|--in-place)/.test(word)) ? 'write' : 'read', reach);
}

const AWK_REACHES = /system|getline|\||print[^;}\n]*>|@|ENVIRON|ARGV|close\s*\(/;

/** `words` without the `awk` itself. */
export function judgeAwk(words: readonly string[], reach: Reach): Denial | undefined {
  const rest = [...words];
  while (/^-[Fv]/.test(rest[0] ?? '')) rest.splice(0, /^-[Fv]$/.test(rest[0] ?? '') ? 2 : 1);
  const [script = '', ...files] = rest;
  if (script.startsWith('-') || script.includes(UNRESOLVED) || AWK_REACHES.test(script))
    return undecodable('the awk script may read or write files or start programs');
  return judgePaths(files, 'read', reach);
}

/** `words` without the `find` itself. */
export function judgeFind(words: readonly string[], reach: Reach): Denial | undefined {
  const acts = words.find((word) =>
    /^-(delete|exec|execdir|ok|okdir|fprint|fprint0|fprintf|fls|files0-from)$/.test(word),
  );
  if (acts !== undefined) return undecodable(`find ${acts} acts on files nobody has seen: list them, then name them`);
  if (words.some((word) => /^-[LH]$/.test(word))) return undecodable('find that follows links may leave the workspace');
  if (words.some((word) => word.startsWith(UNRESOLVED)))
    return undecodable('where find looks is only known to the shell');
  const first = words.findIndex((word) => /^[-(!]/.test(word));
  return judgePaths(first < 0 ? words : words.slice(0, first), 'read', reach);
}
