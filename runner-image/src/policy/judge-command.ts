/** Decides by program whether one part of a command line can be read and stays inside; what is not known is denied. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { judgeGit } from './judge-git.ts';
import { type Denial, judgePaths, type Reach, shown, undecodable } from './judge-paths.ts';
import { judgeAwk, judgeFind, judgeSed } from './judge-scripts.ts';
import {
  DEVELOPMENT,
  HARMLESS,
  INTERPRETER,
  INTERPRETER_OPTION,
  NETWORK,
  ON_PATHS,
  PACKAGE_TOOLS,
  PACKAGES,
  type PathProgram,
  PYTHON_MODULES,
  STEERING,
  XARGS_READS,
} from './programs.ts';
import { type CommandPart, UNRESOLVED } from './split-command.ts';

const deps = (what: string): Denial => ({
  rule: 'deps_add',
  reason: `${what} fetches or changes packages, which needs an approval that cannot be given yet`,
});
const unknown = (name: string): Denial => ({
  rule: 'unknown_program',
  reason: `the policy does not know the program ${shown(name)}`,
});
const network = (what: string): Denial => ({ rule: 'network', reason: `${what} reaches the network` });

/** The value an option carries in the same word. */
const carriedBy = (option: string): string =>
  option.includes('=') ? option.slice(option.indexOf('=') + 1) : option.startsWith('--') ? '' : option.slice(2);

function judgeOnPaths(program: PathProgram, args: readonly string[], reach: Reach): Denial | undefined {
  const refused = args.find((word) => program.refuses?.test(word));
  if (refused !== undefined) return undecodable(`${shown(refused)} may start a program`);
  const end = args.indexOf('--');
  const isOption = (word: string, index: number) => /^-./.test(word) && (end < 0 || index < end);
  const options = args.filter(isOption);
  const operands = args.filter(
    (word, index) =>
      word !== '--' &&
      !isOption(word, index) &&
      !(program.textOptions?.test(args[index - 1] ?? '') && isOption(args[index - 1] ?? '', index - 1)),
  );
  if (program.textFirst !== undefined && !options.some((word) => program.textFirst?.test(word))) operands.shift();
  // `-I../x`, `--file=/x`: only what looks like a place is one.
  const carried = options.map(carriedBy).filter((value) => /^[/~]|(^|\/)\.\.(\/|$)/.test(value));
  return judgePaths([...operands, ...carried], program.use, reach);
}

/** `-c` and one line that nothing is resolved in before the shell gets it. */
const isWhollyRead = (args: readonly string[]): boolean =>
  args.length === 2 && !(args[1] ?? UNRESOLVED).includes(UNRESOLVED);

/** Running a file of the workspace is allowed: what it does then is not seen here. */
function judgeInterpreter(name: string, args: readonly string[], reach: Reach): Denial | undefined {
  // What a shell gets on its command line is split like the line itself, and its parts are judged beside this one.
  if (/^(sh|bash|dash)$/.test(name) && /^-(c|lc|ec)$/.test(args[0] ?? '') && isWhollyRead(args)) return undefined;
  const first = args.findIndex((word) => !INTERPRETER_OPTION.test(word));
  const file = args[first];
  if (first < 0 && args.some((word) => /^(--version|--help|-[vVh]|--test.*)$/.test(word))) return undefined;
  if (/^python/.test(name) && file === '-m') {
    const module = args[first + 1] ?? '';
    if (PYTHON_MODULES.has(module)) return undefined;
    return module === 'pip' || module === 'ensurepip'
      ? deps('pip')
      : undecodable(`python -m ${shown(module)} is not known`);
  }
  if (file === undefined || file.startsWith('-'))
    return undecodable(`${name} gets its code from the command line or its input: write it to a file, then run that`);
  if (/^(deno|bun)$/.test(name)) return undecodable(`${name} is not known`);
  return judgePaths([file], 'read', reach);
}

/** Options that name another folder or program; `module@version` is fetched. */
const ELSEWHERE =
  /^(--?(prefix|dir|cwd|script-shell|userconfig|globalconfig|global|manifest-path|config|exec|toolexec|vettool|modfile)(=|$)|-C|-g$|[^-].*@)/;

function judgePackageTool(name: string, args: readonly string[]): Denial | undefined {
  const tool = PACKAGE_TOOLS.get(name);
  const command = args[0] ?? 'install';
  if (tool?.works.has(command) !== true)
    return tool?.deps.has(command) ? deps(`${name} ${command}`) : network(`${name} ${shown(command)}`);
  const end = args.indexOf('--');
  const refused = args.slice(0, end < 0 ? undefined : end).find((word) => ELSEWHERE.test(word));
  if (refused !== undefined) return undecodable(`${name} ${shown(refused)} works elsewhere or starts another program`);
  return undefined;
}

function judgeNpx(args: readonly string[], reach: Reach): Denial | undefined {
  const name = args.find((word) => !/^--(no-install|no|offline)$/.test(word)) ?? '';
  const isInstalled =
    /^[a-z][\w.-]*$/i.test(name) &&
    [reach.workspace, ...reach.cwds].some((folder) => existsSync(join(folder, 'node_modules/.bin', name)));
  return isInstalled ? undefined : deps(`npx ${shown(name)}, which is not installed here,`);
}

function judgeWrapped(part: CommandPart): Denial | undefined {
  if (part.wrappers.includes('eval')) return undecodable('eval runs text');
  const steering = [...part.assignments, ...part.words.slice(1)].find((word) => STEERING.test(word));
  if (
    steering !== undefined &&
    (part.assignments.includes(steering) || /^(export|local|read|unset|for)$/.test(part.words[0] ?? ''))
  )
    return undecodable(`${shown(steering)} changes what the commands mean`);
  const name = part.words[0];
  if (part.wrappers.includes('xargs') && name !== undefined && !XARGS_READS.has(name))
    return undecodable(`xargs ${shown(name)} works on names nobody has seen`);
  return undefined;
}

function judgeProgram(name: string, args: readonly string[], reach: Reach): Denial | undefined {
  if (name.includes(UNRESOLVED)) return undecodable('which program runs is only known to the shell');
  if (name.startsWith('-')) return unknown(name);
  if (name.includes('/')) return judgePaths([name], 'read', reach);
  if (NETWORK.has(name)) return network(name);
  if (PACKAGES.has(name)) return deps(name);
  if (HARMLESS.has(name) || DEVELOPMENT.has(name)) return undefined;
  const onPaths = ON_PATHS.get(name);
  if (onPaths !== undefined) return judgeOnPaths(onPaths, args, reach);
  if (INTERPRETER.test(name)) return judgeInterpreter(name, args, reach);
  if (PACKAGE_TOOLS.has(name)) return judgePackageTool(name, args);
  switch (name) {
    case 'git':
      return judgeGit(args, reach);
    case 'npx':
      return judgeNpx(args, reach);
    case 'sed':
      return judgeSed(args, reach);
    case 'awk':
    case 'gawk':
    case 'mawk':
      return judgeAwk(args, reach);
    case 'find':
      return judgeFind(args, reach);
    case 'dd':
      return judgePaths(
        args.filter((word) => /^[io]f=/.test(word)).map((word) => word.slice(3)),
        'write',
        reach,
      );
    case '.':
    case 'source':
      return args[0] === undefined ? undecodable('source names no file') : judgePaths([args[0]], 'read', reach);
    case 'cd':
      return args.length === 1 && args[0] !== '-' && args[0] !== ''
        ? judgePaths(args, 'read', reach)
        : undecodable('cd must name one folder');
    default:
      return unknown(name);
  }
}

/** Judges one part that may run in any of the folders of `reach`. */
export function judgePart(part: CommandPart, reach: Reach): Denial | undefined {
  const [name, ...args] = part.words;
  return (
    judgeWrapped(part) ??
    judgePaths(
      part.writes.filter((path) => !/^\d$/.test(path)),
      'write',
      reach,
    ) ??
    judgePaths(
      part.reads.filter((path) => !/^\d$/.test(path)),
      'read',
      reach,
    ) ??
    (name === undefined ? undefined : judgeProgram(name, args, reach))
  );
}

/** More folders than this are a line nobody wrote to work with. */
const FOLDERS_MAX = 8;

/** Judges the parts in their order and follows `cd`: behind `&&` it has succeeded, else both folders are possible. */
export function judgeParts(
  parts: readonly CommandPart[],
  place: { cwd: string; workspace: string },
): Denial | undefined {
  const start = judgePaths(['.'], 'read', { workspace: place.workspace, cwds: [place.cwd] });
  if (start !== undefined) return start;
  const seen = new Set([place.cwd]);
  let cwds: readonly string[] = [place.cwd];
  for (const part of parts) {
    if (!part.afterSuccess) cwds = [...seen];
    const denial = judgePart(part, { workspace: place.workspace, cwds });
    if (denial !== undefined) return denial;
    const target = part.words[1];
    if (part.words[0] !== 'cd' || target === undefined) continue;
    cwds = cwds.map((cwd) => resolve(cwd, target));
    for (const cwd of cwds) seen.add(cwd);
    if (seen.size > FOLDERS_MAX) return undecodable('it changes its folder too often');
  }
  return undefined;
}
