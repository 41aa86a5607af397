/** What the policy knows of programs by name: whoever stands in no list here is unknown and denied. */
import type { PathUse } from './judge-paths.ts';

const names = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** Their arguments are text, and they change nothing but the shell or their own output. */
export const HARMLESS = names(`
  echo printf true false : test [ [[ exit return sleep date id whoami uname hostname pwd env printenv which type
  seq basename dirname wait export local set unset read shift break continue for fi done esac } jobs kill
  ps expr nproc df free tr yes clear ulimit umask tput locale arch
`);

/** They run the workspace's own code or judge it; their arguments are not judged. */
export const DEVELOPMENT = names(`
  make cmake ninja ctest gcc g++ cc c++ clang clang++ ld ar rustc rustfmt javac java gofmt
  vitest jest mocha ava tap playwright tsc eslint biome prettier knip esbuild vite webpack rollup
  pytest tox mypy ruff black flake8 isort pyright coverage rspec rake phpunit mvn gradle shellcheck
`);

export const NETWORK = names(`
  curl wget fetch aria2c nc ncat netcat socat ssh scp sftp rsync telnet ftp lftp tftp dig nslookup host whois ping
  traceroute openssl nmap gh glab hub aws gcloud az kubectl helm terraform docker podman mail sendmail
  http https xh httpie websocat
`);

export const PACKAGES = names(`
  pip pip3 pipx uv poetry conda mamba apt apt-get aptitude dpkg apk yum dnf rpm pacman brew snap gem bundle composer
  nvm rustup pnpx bunx corepack
`);

export interface PathProgram {
  readonly use: PathUse;
  /** Its first argument is a pattern or script unless one of these options gives it. */
  readonly textFirst?: RegExp;
  /** Options whose next word is text. */
  readonly textOptions?: RegExp;
  /** Options that start programs or write elsewhere. */
  readonly refuses?: RegExp;
}

const all = (text: string, program: PathProgram): [string, PathProgram][] =>
  [...names(text)].map((name) => [name, program]);

/** They work on the paths they are given. */
export const ON_PATHS: ReadonlyMap<string, PathProgram> = new Map([
  ...all(
    `cat less more head tail ls tree wc nl tac rev diff cmp comm file stat du md5sum sha1sum sha256sum sha512sum
     base64 xxd od hexdump strings fold realpath readlink`,
    { use: 'read' },
  ),
  ...all('uniq tee mkdir touch cp ln zip unzip gzip gunzip truncate patch', { use: 'write' }),
  ...all('cut sort paste column join', {
    use: 'write',
    textOptions: /^-([dtk]|-delimiter|-field-separator|-key|-output-separator)$/,
    refuses: /^--compress-program/,
  }),
  ...all('grep egrep fgrep rg', {
    use: 'read',
    textFirst: /^-(e|f|-regexp|-file|-files)/,
    textOptions: /^-(e|g|A|B|C|m|t|T|-regexp|-glob|-type|-context|-max-count|-include|-exclude)$/,
    refuses: /^--(pre|hostname-bin)/,
  }),
  ['jq', { use: 'read', textFirst: /^-f$|^--from-file/, textOptions: /^--(arg|argjson|indent)$/ }],
  ...all('rm rmdir mv unlink', { use: 'delete' }),
  ...all('chmod chown chgrp', { use: 'permissions', textFirst: /^--reference/ }),
  [
    'tar',
    { use: 'write', refuses: /^(-[A-Za-z]*[IF]|--(to-command|use-compress|checkpoint|info-script|new-volume|rsh))/ },
  ],
]);

/** Safe options of interpreters in front of the file they run; any other may carry code. */
export const INTERPRETER_OPTION =
  /^(--test.*|--check|--version|--help|--no-warnings|--enable-source-maps|--experimental-[a-z-]+|--max-old-space-size=\d+|--trace-[a-z-]+|--watch|-[vVhuBOxnw]+)$/;
export const INTERPRETER =
  /^(sh|bash|dash|zsh|ksh|python[\d.]*|node|perl|ruby|php|deno|bun|tsx|ts-node|lua|tclsh|Rscript)$/;
export const PYTHON_MODULES = names(
  'pytest unittest doctest mypy ruff black flake8 isort coverage compileall py_compile json.tool venv tox',
);

/** First words that only work on what is there; `deps` fetch packages. All others are refused as reaching the network. */
export interface PackageTool {
  readonly works: ReadonlySet<string>;
  readonly deps: ReadonlySet<string>;
}
const NODE_DEPS = names(
  'install i add ci update upgrade up remove rm uninstall link dlx create init exec x import dedupe',
);
const NODE_WORKS = names(
  'test t tst run run-script start stop ls list why explain root prefix bin -v --version help pkg',
);
export const PACKAGE_TOOLS: ReadonlyMap<string, PackageTool> = new Map([
  ...['npm', 'pnpm', 'yarn'].map((name): [string, PackageTool] => [name, { works: NODE_WORKS, deps: NODE_DEPS }]),
  [
    'cargo',
    {
      works: names('test t build b check c run r clippy fmt doc bench clean tree metadata nextest --version -V'),
      deps: names('add install update fetch remove vendor generate-lockfile'),
    },
  ],
  [
    'go',
    {
      works: names('test build vet fmt run list env version doc clean generate tool'),
      deps: names('get install mod work'),
    },
  ],
]);

/** An assignment to one of these changes what the words behind it mean. */
export const STEERING =
  /^(HOME|CDPATH|IFS|PATH|ENV|BASH_ENV|SHELLOPTS|BASHOPTS|PROMPT_COMMAND|LD_\w+|EDITOR|VISUAL|PAGER|LESSOPEN|GIT_(?!AUTHOR_|COMMITTER_|PAGER=cat$|EDITOR=true$)\w+)\+?(=|$)/;

export const XARGS_READS = names(
  'cat head tail wc ls grep egrep fgrep stat file du md5sum sha1sum sha256sum echo printf basename dirname',
);
