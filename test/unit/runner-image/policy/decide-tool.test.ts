import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decideTool, workspacePolicy } from '../../../../runner-image/src/policy/decide-tool.ts';
import { placeOf } from '../../../../runner-image/src/policy/path-inside.ts';

let root: string;
let workspace: string;
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'village-policy-')));
  workspace = join(root, 'ws');
  for (const folder of ['ws/src', 'ws/.git/hooks', 'outside', 'ws-sibling'])
    mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, 'outside/secret'), 's');
  symlinkSync('../outside', join(workspace, 'link'));
  symlinkSync('../outside/not-yet', join(workspace, 'dangling'));
  symlinkSync('loop', join(workspace, 'loop'));
  symlinkSync('src', join(workspace, 'inner'));
  symlinkSync('.git', join(workspace, 'g'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const decide = (toolName: string, input: unknown, cwd = workspace) => {
  const verdict = decideTool({ toolName, input, cwd }, { workspace });
  return verdict.kind === 'deny' ? verdict.rule : verdict.kind;
};

describe('decideTool', () => {
  it('allows work inside the workspace', () => {
    for (const path of ['a.ts', join(workspace, 'src/new/deep.ts'), 'inner/x', 'src/../b', '..hidden']) {
      expect(decide('Write', { file_path: path, content: '' })).toBe('allow');
      expect(decide('Read', { file_path: path })).toBe('allow');
    }
    expect(decide('Write', { file_path: '../a' }, join(workspace, 'src'))).toBe('allow');
    expect(decide('NotebookEdit', { notebook_path: 'a.ipynb' })).toBe('allow');
    expect(decide('Grep', { pattern: 'x' })).toBe('allow');
    expect(decide('Glob', { pattern: '**/*.ts', path: 'src' })).toBe('allow');
    expect(decide('Bash', { command: 'npm test' })).toBe('allow');
    expect(decide('TodoWrite', {})).toBe('allow');
  });

  it('denies what leads out, by path, by link or by pattern', () => {
    for (const path of [
      '../x',
      '/etc/passwd',
      join(root, 'ws-sibling/x'),
      'link/secret',
      'link/new',
      '~/.ssh/id',
      '/proc/self/environ',
    ]) {
      expect(decide('Read', { file_path: path })).toBe('outside_workspace');
      expect(decide('Edit', { file_path: path })).toBe('outside_workspace');
    }
    expect(decide('Grep', { pattern: 'x', path: '/etc', file_path: 'a' })).toBe('outside_workspace');
    expect(decide('Grep', { pattern: 'x' }, '/etc')).toBe('outside_workspace');
    expect(decide('Glob', { pattern: '/etc/*' })).toBe('outside_workspace');
    expect(decide('Glob', { pattern: 'a/../../*' })).toBe('outside_workspace');
  });

  it('denies paths that cannot be judged', () => {
    for (const path of ['dangling', 'link/../x', 'loop', 'loop/x', 'a\0b', ''])
      expect(decide('Write', { file_path: path })).toBe('undecodable');
    for (const input of [null, 7, {}, { file_path: 7 }, { path: 'a' }])
      expect(decide('Write', input)).toBe('undecodable');
    expect(decide('Grep', { path: 7 })).toBe('undecodable');
    expect(decide('Bash', { cmd: 'ls' })).toBe('undecodable');
  });

  it("keeps git's own files, in any spelling and through links", () => {
    for (const path of ['.git/hooks/pre-commit', '.GIT/config', 'g/config', 'sub/.git/config']) {
      expect(decide('Write', { file_path: path })).toBe('git_internals');
    }
    expect(decide('Read', { file_path: '.git/config' })).toBe('allow');
    expect(decide('Write', { file_path: '.gitignore' })).toBe('allow');
  });

  it('denies the network, what it does not know, and listed commands', () => {
    expect(decide('WebFetch', { url: 'https://x.test' })).toBe('network');
    for (const name of ['Agent', 'mcp__x__y', 'constructor', '__proto__', ''])
      expect(decide(name, {})).toBe('unknown_tool');
    expect(decide('Bash', { command: 'sudo id' })).toBe('privilege');
    const policy = workspacePolicy({ workspace, commandDeny: ['make deploy'] });
    expect(policy.decide({ toolName: 'Bash', input: { command: 'make deploy' }, cwd: workspace })).toMatchObject({
      kind: 'deny',
      rule: 'tenant_deny',
    });
  });

  it('never takes a path outside for one inside', () => {
    const name = fc.constantFrom('..', '.', 'src', 'link', 'inner', 'a', '', 'g', 'dangling');
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 8 }), (names) => {
        const path = names.join('/') || '.';
        const place = placeOf(path, workspace, workspace);
        if (place.kind === 'inside')
          expect(`${join(workspace, place.relativePath)}/`.startsWith(`${workspace}/`)).toBe(true);
        const climbs =
          names.reduce((depth, one) => (one === '..' ? depth - 1 : one === '.' || one === '' ? depth : depth + 1), 0) <
          0;
        if (climbs && path[0] !== '/') expect(place.kind).not.toBe('inside');
      }),
      { numRuns: 500 },
    );
  });
});
