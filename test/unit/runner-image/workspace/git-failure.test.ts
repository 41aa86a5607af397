import { describe, expect, it } from 'vitest';
import { failureFromResult, failureFromText } from '../../../../runner-image/src/workspace/git-failure.ts';

describe('failureFromText', () => {
  it.each([
    ["fatal: unable to access 'https://x.invalid/a/': Could not resolve host: x.invalid", 'host_unreachable'],
    [
      "fatal: unable to access 'https://h/a/': Failed to connect to h port 443 after 1 ms: Couldn't connect to server",
      'host_unreachable',
    ],
    [
      'ssh: connect to host h port 22: Connection refused\nfatal: Could not read from remote repository.',
      'host_unreachable',
    ],
    ["fatal: unable to access 'https://h/': SSL certificate problem: self-signed certificate", 'host_unreachable'],
    ["fatal: could not read Username for 'https://h': terminal prompts disabled", 'access_denied'],
    ["remote: Invalid username or password.\nfatal: Authentication failed for 'https://h/a/'", 'access_denied'],
    ['git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.', 'access_denied'],
    ["fatal: unable to access 'https://h/a/': The requested URL returned error: 403", 'access_denied'],
    ['Host key verification failed.\nfatal: Could not read from remote repository.', 'access_denied'],
    ["remote: Repository not found.\nfatal: repository 'https://h/a/' not found", 'repository_not_found'],
    ["fatal: '/nope' does not appear to be a git repository", 'repository_not_found'],
    ["fatal: unable to access 'https://h/a/': The requested URL returned error: 404", 'repository_not_found'],
    ["fatal: couldn't find remote ref deadbeef", 'ref_not_found'],
    ['error: file write error: No space left on device\nfatal: index-pack failed', 'disk_full'],
    ["fatal: transport 'ext' not allowed", 'unsupported_url'],
    ['fatal: something new', 'git_failed'],
    ['', 'git_failed'],
  ])('%j is %s', (stderr, code) => {
    const failure = failureFromText(stderr);
    expect(failure.code).toBe(code);
    expect(failure.message).not.toBe('');
    expect(failure.hint).toMatch(/\.$/);
  });

  it('an unknown failure quotes git, without credentials and not at length', () => {
    const { message } = failureFromText(`noise\nfatal: odd https://user:secret@host/a ${'x'.repeat(1_000)}\nmore`);
    expect(message).toContain('fatal: odd https://host/a');
    expect(message.length).toBeLessThan(350);
  });
});

describe('failureFromResult', () => {
  it('knows calls that did not end by themselves', () => {
    expect(failureFromResult({ kind: 'timeout', stderr: '' }).code).toBe('timeout');
    expect(failureFromResult({ kind: 'cancelled' }).code).toBe('cancelled');
    expect(failureFromResult({ kind: 'git_missing' }).code).toBe('git_missing');
  });
});
