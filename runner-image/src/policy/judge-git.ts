/** Judges git: local work is allowed, remotes wait for the git broker, and what runs programs or edits its configuration is not. */
import { type Denial, judgePaths, type Reach, undecodable } from './judge-paths.ts';

const LOCAL = new Set(
  `status log diff show add commit branch checkout switch restore rm mv merge rebase cherry-pick revert stash tag
   rev-parse ls-files ls-tree cat-file blame grep describe shortlog reflog reset clean worktree apply am name-rev
   rev-list merge-base for-each-ref show-ref symbolic-ref diff-tree diff-index count-objects fsck gc format-patch notes
   check-ignore whatchanged range-diff init version --version help`.split(/\s+/),
);
const REMOTE = new Set('push fetch pull clone ls-remote submodule lfs request-pull send-email svn p4'.split(' '));
const STARTS_PROGRAMS =
  /^(--exec(=|$)|-x|--ext-diff|--textconv|--no-index|-O|--open-files-in-pager|--upload-pack|--template|--gpg-sign|-S$|--signoff-with)/;
const REFUSED_GLOBAL = /^(-c|--config-env|--exec-path|--git-dir|--work-tree|--namespace|--super-prefix)/;
const TEXT_OPTION = /^(-[a-z]*m|-S|-G|--message|--author|--date|--grep|--format|--pretty)$/;

const denyRemote: Denial = {
  rule: 'git_remote',
  reason: 'git remotes are not reachable by the agent yet: commit here, a person publishes it',
};

/** Words that name a place: absolute, of a home, or climbing; a ref or a message is none. */
const isPlace = (word: string): boolean =>
  /^[/~]/.test(word) || /(^|[/=:])\.\.(\/|$)/.test(word) || /=[/~]|^-[A-RT-Za-z][/~]/.test(word);

function judgeConfig(args: readonly string[]): Denial | undefined {
  if (/^(--get(-all|-regexp)?|--list|-l|get|list)$/.test(args.find((word) => !/^--(local|global)$/.test(word)) ?? ''))
    return undefined;
  const [name = '', ...values] = args.filter((word) => word !== '--local');
  if (/^user\.(name|email)$/.test(name) && values.length <= 1) return undefined;
  return undecodable('git config may only be read, or set user.name and user.email');
}

/** `words` without the `git` itself. */
export function judgeGit(words: readonly string[], reach: Reach): Denial | undefined {
  let at = 0;
  for (; words[at]?.startsWith('-') === true && words[at] !== '--version'; at += 1) {
    const option = words[at] ?? '';
    if (option === '-C') {
      at += 1;
      const denial = judgePaths([words[at] ?? '/'], 'read', reach);
      if (denial !== undefined) return denial;
    } else if (!/^(--no-pager|-P|--no-optional-locks|--literal-pathspecs)$/.test(option) || REFUSED_GLOBAL.test(option))
      return undecodable(`git ${option} changes what git runs or works on`);
  }
  const [command = 'help', ...args] = words.slice(at);
  if (command === 'remote') return /^(|-v|--verbose|get-url)$/.test(args[0] ?? '') ? undefined : denyRemote;
  if (REMOTE.has(command)) return denyRemote;
  if (command === 'config') return judgeConfig(args);
  if (!LOCAL.has(command)) return undecodable(`the policy does not know git ${command}`);
  const refused = command === 'log' ? undefined : args.find((word) => STARTS_PROGRAMS.test(word));
  const refusedLog = command === 'log' ? args.find((word) => /^--(ext-diff|textconv|no-index)/.test(word)) : undefined;
  if (refused !== undefined || refusedLog !== undefined)
    return undecodable(`git ${command} ${refused ?? refusedLog} starts programs or leaves the repository`);
  const places = args.filter((word, index) => !TEXT_OPTION.test(args[index - 1] ?? '') && isPlace(word));
  const paths = places.map((word) =>
    /^-\w[/~]/.test(word) ? word.slice(2) : /^[/~.]/.test(word) ? word : word.slice(word.search(/[=:]/) + 1),
  );
  return judgePaths(paths, 'read', reach);
}
