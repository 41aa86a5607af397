import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type DiffOptions, type DiffSummary, summariseDiff } from '../../runner-image/src/workspace/diff-summary.ts';
import { DiffFile } from '../../shared/events.ts';
import { git, inherited, makeRepository, temporaryFolder, tripwire, write } from './workspace-support.ts';

const BASE = {
  'a.txt': 'one\ntwo\nthree\n',
  'b.txt': 'b1\nb2\nb3\nb4\nb5\nb6\n',
  'src/c.txt': 'c\n',
  '.gitignore': 'ignored/\n*.log\n',
};

const session = (files: Readonly<Record<string, string>> = BASE) => {
  const workspace = makeRepository(files);
  const options: DiffOptions = {
    workspace,
    scratch: join(temporaryFolder(), 'scratch'),
    baseCommit: git(workspace, 'rev-parse', 'HEAD'),
    inherited,
  };
  return { workspace, options };
};

const summary = async (options: DiffOptions): Promise<DiffSummary> => {
  const result = await summariseDiff(options);
  if (result.kind !== 'summary') throw new Error(`${result.code}: ${result.message}`);
  for (const file of result.files) DiffFile.parse(file);
  return result;
};

const byPath = (diff: DiffSummary) => Object.fromEntries(diff.files.map(({ path, ...rest }) => [path, rest]));

describe('the diff of a session', () => {
  it('is empty at the start and tells branch and head', async () => {
    const { options } = session();
    expect(await summary(options)).toEqual({
      kind: 'summary',
      files: [],
      linesAdded: 0,
      linesRemoved: 0,
      patch: '',
      truncated: false,
      headCommit: options.baseCommit,
      branch: 'main',
    });
  });

  it('holds committed, staged, unstaged and untracked changes together, and leaves ignored files out', async () => {
    const { workspace, options } = session();
    write(workspace, { 'a.txt': 'one\n2\nthree\n' });
    git(workspace, 'commit', '-q', '-am', 'by the agent');
    write(workspace, { 'staged.txt': 's\n' });
    git(workspace, 'add', 'staged.txt');
    write(workspace, { 'src/c.txt': 'c\nmore\n', 'new/deep/file.txt': 'x\ny\n', 'ignored/x': 'x', 'debug.log': 'x' });
    rmSync(join(workspace, 'b.txt'));
    const diff = await summary(options);
    expect(byPath(diff)).toEqual({
      'a.txt': { status: 'modified', staged: false, binary: false, added: 1, removed: 1 },
      'b.txt': { status: 'deleted', staged: false, binary: false, added: 0, removed: 6 },
      'new/deep/file.txt': { status: 'added', staged: false, binary: false, added: 2, removed: 0 },
      'src/c.txt': { status: 'modified', staged: false, binary: false, added: 1, removed: 0 },
      'staged.txt': { status: 'added', staged: true, binary: false, added: 1, removed: 0 },
    });
    expect(diff).toMatchObject({ linesAdded: 5, linesRemoved: 7, truncated: false });
    expect(diff.headCommit).toBe(git(workspace, 'rev-parse', 'HEAD'));
    expect(diff.patch).toContain('-two\n+2\n');
    expect(diff.patch).toContain('diff --git a/new/deep/file.txt b/new/deep/file.txt\nnew file mode 100644');
  });

  it('a second look sees what changed since, and what was undone is gone', async () => {
    const { workspace, options } = session();
    write(workspace, { 'a.txt': 'changed\n', 'new.txt': 'n\n' });
    expect(Object.keys(byPath(await summary(options)))).toEqual(['a.txt', 'new.txt']);
    write(workspace, { 'a.txt': BASE['a.txt'], 'other.txt': '' });
    rmSync(join(workspace, 'new.txt'));
    expect(byPath(await summary(options))).toEqual({
      'other.txt': { status: 'added', staged: false, binary: false, added: 0, removed: 0 },
    });
  });

  it('knows renames, binary files, modes, links, and folders in the place of files and back', async () => {
    const { workspace, options } = session({
      ...BASE,
      'run.sh': 'x\n',
      'link-me': 'l\n',
      flat: 'f\n',
      'deep/one': '1\n',
    });
    renameSync(join(workspace, 'b.txt'), join(workspace, 'src/renamed.txt'));
    appendFileSync(join(workspace, 'src/renamed.txt'), 'b7\n');
    writeFileSync(join(workspace, 'image.bin'), Buffer.from([0, 1, 2, 255, 0]));
    chmodSync(join(workspace, 'run.sh'), 0o755);
    rmSync(join(workspace, 'link-me'));
    symlinkSync('/etc/passwd', join(workspace, 'link-me'));
    rmSync(join(workspace, 'flat'));
    write(workspace, { 'flat/inner': 'i\n' });
    rmSync(join(workspace, 'deep'), { recursive: true });
    write(workspace, { deep: 'now a file\n' });
    const diff = await summary(options);
    const files = byPath(diff);
    expect(files['src/renamed.txt']).toEqual({
      status: 'renamed',
      oldPath: 'b.txt',
      staged: false,
      binary: false,
      added: 1,
      removed: 0,
    });
    expect(files['image.bin']).toMatchObject({ status: 'added', binary: true, added: 0, removed: 0 });
    expect(files['run.sh']).toMatchObject({ status: 'modified', added: 0, removed: 0 });
    expect(files['link-me']).toMatchObject({ status: 'type_changed' });
    expect(files['flat/inner']).toMatchObject({ status: 'added', added: 1 });
    expect(files.flat).toMatchObject({ status: 'deleted', removed: 1 });
    expect(files.deep).toMatchObject({ status: 'added', added: 1 });
    expect(files['deep/one']).toMatchObject({ status: 'deleted', removed: 1 });
    expect(diff.patch).toContain('+/etc/passwd');
    expect(diff.patch).not.toContain('root:');
  });

  it.each([
    'with space',
    '"quoted"',
    "it's",
    'ünïcödé-日本',
    'new\nline',
    'tab\there',
    '-dash',
    ':(glob)x',
    'back\\slash',
  ])('takes the name %j', async (name) => {
    const { workspace, options } = session({ ...BASE, [`${name}.old`]: 'old\nold\nold\n' });
    write(workspace, { [`${name}.new`]: 'new\n' });
    renameSync(join(workspace, `${name}.old`), join(workspace, `${name}.moved`));
    expect(byPath(await summary(options))).toEqual({
      [`${name}.new`]: { status: 'added', staged: false, binary: false, added: 1, removed: 0 },
      [`${name}.moved`]: {
        status: 'renamed',
        oldPath: `${name}.old`,
        staged: false,
        binary: false,
        added: 0,
        removed: 0,
      },
    });
  });

  it('is not stopped by names git itself refuses', async () => {
    const { workspace, options } = session();
    write(workspace, { 'git~1/x': 'x\n', '.git\u200c/y': 'y\n', 'sub/.GIT/z': 'z\n', 'good.txt': 'g\n' });
    const files = byPath(await summary(options));
    expect(Object.keys(files)).toEqual(expect.arrayContaining(['git~1/x', '.git\u200c/y', 'good.txt']));
  });

  it('cuts a long list and a long patch, and says so', async () => {
    const { workspace, options } = session();
    for (let at = 0; at < 30; at += 1) write(workspace, { [`many/${at}`]: 'ü'.repeat(101).concat('\n') });
    const few = await summary({ ...options, limits: { maxFiles: 10 } });
    expect(few.files).toHaveLength(10);
    expect(few).toMatchObject({ truncated: true, linesAdded: 30 });
    for (const maxPatchBytes of [500, 501]) {
      const short = await summary({ ...options, limits: { maxPatchBytes } });
      expect(short.truncated).toBe(true);
      expect(Buffer.byteLength(short.patch)).toBeLessThanOrEqual(maxPatchBytes);
      expect(Buffer.byteLength(short.patch)).toBeGreaterThan(490);
      expect(short.patch).not.toContain('\ufffd');
      expect(short.files).toHaveLength(30);
    }
    expect((await summary({ ...options, limits: { maxUntrackedFiles: 5 } })).files).toHaveLength(5);
  });

  it('shows what the agent tries to hide: flags in its index, attributes, exclude by force-add', async () => {
    const { workspace, options } = session();
    git(workspace, 'update-index', '--assume-unchanged', 'a.txt');
    git(workspace, 'update-index', '--skip-worktree', 'b.txt');
    write(workspace, {
      'a.txt': 'hidden 1\n',
      'b.txt': 'hidden 2\n',
      '.gitattributes': '* -diff binary\n',
      'x.log': 'log\n',
    });
    git(workspace, 'add', '-f', 'x.log');
    git(workspace, 'commit', '-q', '-m', 'log', 'x.log');
    const diff = await summary(options);
    expect(Object.keys(byPath(diff)).sort()).toEqual(['.gitattributes', 'a.txt', 'b.txt', 'x.log']);
    expect(diff.files.every((file) => !file.binary)).toBe(true);
    expect(diff.patch).toContain('+hidden 1');
    expect(diff.patch).toContain('+hidden 2');
  });

  it('leaves the index of the agent alone, also while the agent holds its lock', async () => {
    const { workspace, options } = session();
    write(workspace, { 'a.txt': 'changed\n', 'new.txt': 'n\n' });
    const index = join(workspace, '.git/index');
    const before = readFileSync(index);
    writeFileSync(`${index}.lock`, '');
    expect((await summary(options)).files).toHaveLength(2);
    expect(readFileSync(index).equals(before)).toBe(true);
    expect(existsSync(`${index}.lock`)).toBe(true);
  });

  it('goes on without a readable index, with a detached HEAD, packed refs and an orphan branch', async () => {
    const { workspace, options } = session();
    write(workspace, { 'a.txt': 'changed\n' });
    writeFileSync(join(workspace, '.git/index'), 'garbage');
    expect((await summary(options)).files).toHaveLength(1);
    rmSync(join(workspace, '.git/index'));
    git(workspace, 'pack-refs', '--all');
    expect(await summary(options)).toMatchObject({ branch: 'main', headCommit: options.baseCommit });
    git(workspace, 'checkout', '-q', '-f', '--detach');
    expect(await summary(options)).toMatchObject({ branch: null, headCommit: options.baseCommit });
    git(workspace, 'checkout', '-q', '--orphan', 'fresh');
    expect(await summary(options)).toMatchObject({ branch: 'fresh', headCommit: '' });
  });

  it('two summaries at once do not disturb each other', async () => {
    const { workspace, options } = session();
    write(workspace, { 'a.txt': 'changed\n' });
    const all = await Promise.all([1, 2, 3, 4].map(() => summary(options)));
    expect(all.map((diff) => diff.files.length)).toEqual([1, 1, 1, 1]);
  });

  it('says that there is no repository when .git is gone, a file, or a link to another', async () => {
    const elsewhere = session();
    for (const replace of ['nothing', 'file', 'link', 'objects']) {
      const { workspace, options } = session();
      const target = join(workspace, replace === 'objects' ? '.git/objects' : '.git');
      rmSync(target, { recursive: true });
      if (replace === 'file') writeFileSync(target, `gitdir: ${elsewhere.workspace}/.git\n`);
      if (replace === 'link') symlinkSync(join(elsewhere.workspace, '.git'), target);
      if (replace === 'objects') symlinkSync(join(elsewhere.workspace, '.git/objects'), target);
      expect(await summariseDiff(options)).toMatchObject({ kind: 'failed', code: 'no_repository' });
    }
  });

  it('does not hang on FIFOs in the place of files', async () => {
    const { workspace, options } = session();
    for (const name of ['a.txt', '.git/HEAD', '.git/index', '.git/info/exclude']) {
      rmSync(join(workspace, name), { force: true });
      mkdirSync(join(workspace, '.git/info'), { recursive: true });
      execFileSync('mkfifo', [join(workspace, name)]);
    }
    const diff = await summary({ ...options, timeoutMs: 5_000 });
    expect(byPath(diff)).toMatchObject({ 'a.txt': { status: 'deleted' } });
    expect(diff).toMatchObject({ branch: null, headCommit: '' });
  });

  it('works on a sha256 repository', async () => {
    const workspace = temporaryFolder();
    git(workspace, 'init', '-q', '-b', 'main', '--object-format=sha256');
    write(workspace, { 'a.txt': 'one\n' });
    git(workspace, 'add', '-A');
    git(workspace, 'commit', '-q', '-m', 'first');
    const baseCommit = git(workspace, 'rev-parse', 'HEAD');
    write(workspace, { 'a.txt': 'two\n', 'b.txt': 'new\n' });
    const diff = await summary({ workspace, scratch: join(temporaryFolder(), 's'), baseCommit, inherited });
    expect(diff.files).toHaveLength(2);
  });
});

describe('a hostile workspace', () => {
  const PROGRAM_SETTINGS = [
    'core.fsmonitor',
    'core.sshCommand',
    'core.pager',
    'core.editor',
    'core.askPass',
    'core.gitProxy',
    'core.alternateRefsCommand',
    'diff.external',
    'diff.evil.command',
    'diff.evil.textconv',
    'filter.evil.clean',
    'filter.evil.smudge',
    'filter.evil.process',
    'filter.lfs.process',
    'merge.evil.driver',
    'interactive.diffFilter',
    'gpg.program',
    'gpg.ssh.program',
    'credential.helper',
    'sequence.editor',
    'pager.diff',
    'pager.diff-index',
    'alias.diff-index',
    'uploadpack.packObjectsHook',
    'remote.origin.uploadpack',
    'trailer.x.command',
    'ssh.variant',
  ] as const;

  const arm = (workspace: string, program: string, mark: string) => {
    write(workspace, {
      '.gitattributes': '* filter=evil diff=evil merge=evil\n*.lfs filter=lfs diff=lfs merge=lfs -text\n',
      'a.txt': 'changed by the agent\n',
      'x.lfs': 'new\n',
      '.git/info/attributes': '* filter=evil diff=evil\n',
      '.git/evil.config': `[core]\n\tfsmonitor = ${program}\n[diff]\n\texternal = ${program}\n`,
    });
    const hooks = ['post-index-change', 'reference-transaction', 'pre-commit', 'fsmonitor-watchman', 'post-checkout'];
    for (const hook of hooks) {
      write(workspace, { [`.git/hooks/${hook}`]: `#!/bin/sh\necho ${hook} >> '${mark}'\n` });
      chmodSync(join(workspace, '.git/hooks', hook), 0o755);
    }
    const lines = PROGRAM_SETTINGS.map((name) => {
      const [section, ...rest] = name.split('.');
      const key = rest.pop();
      return `[${section}${rest.length > 0 ? ` "${rest.join('.')}"` : ''}]\n\t${key} = ${program}\n`;
    });
    const more = `[filter "evil"]\n\trequired = true\n[include]\n\tpath = evil.config\n[core]\n\thooksPath = ${workspace}/.git/hooks\n\tworktree = /\n[extensions]\n\tworktreeConfig = true\n[diff "evil"]\n\tcachetextconv = true\n`;
    appendFileSync(join(workspace, '.git/config'), lines.join('') + more);
    writeFileSync(join(workspace, '.git/config.worktree'), `[core]\n\tfsmonitor = ${program}\n`);
  };

  it('the traps fire when git itself is asked', () => {
    const trip = tripwire();
    const { workspace } = session();
    arm(workspace, trip.program, trip.mark);
    try {
      git(workspace, '-c', `core.worktree=${workspace}`, 'diff', 'HEAD');
    } catch {
      // The traps break this diff, which does not matter: only that they fired does.
    }
    expect(trip.fired()).not.toBeNull();
  });

  it('runs nothing that configuration, attributes, hooks or includes name', async () => {
    const trip = tripwire();
    const { workspace, options } = session();
    arm(workspace, trip.program, trip.mark);
    const diff = await summary(options);
    expect(trip.fired()).toBeNull();
    expect(diff.patch).toContain('+changed by the agent');
    expect(Object.keys(byPath(diff)).sort()).toEqual(['.gitattributes', 'a.txt', 'x.lfs']);
  });

  it('does not enter repositories inside, registered as submodules or not', async () => {
    const trip = tripwire();
    const { workspace, options } = session();
    const inner = makeRepository({ 'i.txt': 'i\n' }, join(workspace, 'inner'));
    git(workspace, 'add', 'inner');
    git(workspace, 'commit', '-q', '-m', 'submodule');
    const baseCommit = git(workspace, 'rev-parse', 'HEAD');
    makeRepository({ 'j.txt': 'j\n' }, join(workspace, 'loose'));
    for (const folder of [inner, join(workspace, 'loose')]) {
      git(folder, 'config', 'core.fsmonitor', trip.program);
      git(folder, 'config', 'filter.evil.clean', trip.program);
      write(folder, { 'i.txt': 'd\n', '.git/info/attributes': '* filter=evil\n' });
    }
    const diff = await summary({ ...options, baseCommit });
    expect(diff.files).toEqual([]);
    expect(trip.fired()).toBeNull();
    rmSync(join(inner, '.git/info/attributes'));
    git(inner, '-c', 'core.fsmonitor=false', 'commit', '-q', '--allow-empty', '-m', 'moved');
    expect(byPath(await summary({ ...options, baseCommit }))).toMatchObject({ inner: { status: 'modified' } });
    expect(trip.fired()).toBeNull();
  });

  it('takes nothing from the environment of the runner', async () => {
    const trip = tripwire();
    const { workspace, options } = session();
    write(workspace, { 'a.txt': 'changed\n' });
    const hostile = {
      GIT_EXTERNAL_DIFF: trip.program,
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'diff.external',
      GIT_CONFIG_VALUE_0: trip.program,
      GIT_DIR: '/nonexistent',
    };
    const before = { ...process.env };
    try {
      Object.assign(process.env, hostile);
      expect((await summary(options)).files).toHaveLength(1);
    } finally {
      for (const name of Object.keys(hostile)) delete process.env[name];
      Object.assign(process.env, before);
    }
    expect(trip.fired()).toBeNull();
  });
});
