import { describe, expect, test } from 'vitest';
import { WorkspacePath } from '../../../shared/scenario.ts';
import {
  canMove,
  isFinal,
  RepositoryAddress,
  RepositorySpec,
  SESSION_STATES,
  SESSION_TRANSITIONS,
  type SessionState,
  splitRepositoryCredentials,
} from '../../../shared/session.ts';

const live = SESSION_STATES.filter((state) => !isFinal(state));

/** States that can be reached from `from`, itself aside. */
const reachable = (from: SessionState): Set<SessionState> => {
  const seen = new Set<SessionState>();
  const look = (state: SessionState): void => {
    for (const next of SESSION_TRANSITIONS[state].filter((to) => !seen.has(to))) {
      seen.add(next);
      look(next);
    }
  };
  look(from);
  return seen;
};

describe('transitions of a session', () => {
  test('completed and failed are final, and nothing else', () => {
    expect(SESSION_STATES.filter(isFinal)).toEqual(['completed', 'failed']);
  });

  test.each(['completed', 'failed'] as const)('nothing leaves %s', (state) => {
    expect(SESSION_STATES.filter((to) => canMove(state, to))).toEqual([]);
  });

  test.each(live)('%s can fail at once', (state) => {
    expect(canMove(state, 'failed')).toBe(true);
  });

  test.each(live.filter((state) => state !== 'stopping'))('%s can be stopped', (state) => {
    expect(canMove(state, 'stopping')).toBe(true);
  });

  test.each(live)('%s can end well', (state) => {
    expect(reachable(state)).toContain('completed');
  });

  test('every state is reached from a new session, and none twice in a row', () => {
    expect([...reachable('created')].sort()).toEqual(SESSION_STATES.filter((state) => state !== 'created').sort());
    for (const state of SESSION_STATES) expect(canMove(state, state)).toBe(false);
  });

  test('nothing goes back to a start, and stopping goes on to an end only', () => {
    for (const state of SESSION_STATES) expect(canMove(state, 'created')).toBe(false);
    expect(SESSION_TRANSITIONS.stopping.every(isFinal)).toBe(true);
  });
});

describe('a repository address', () => {
  test.each([
    'https://git.example.test/acme/app.git',
    'http://127.0.0.1:8080/app.git',
    'https://user@git.example.test:8443/a/b%20c.git',
    'ssh://git@git.example.test/acme/app.git',
    'ssh://git@git.example.test:2222/acme/app.git',
    'git@git.example.test:acme/app.git',
    'file:///srv/repositories/app.git',
    '/srv/repositories/app',
    '/srv/with space/app',
  ])('%s is taken', (address) => {
    expect(RepositoryAddress.safeParse(address).success).toBe(true);
  });

  test.each([
    '',
    '--upload-pack=touch /tmp/x',
    '-u',
    '--upload-pack=x https://git.example.test/a',
    'ext::sh -c "touch /tmp/x"',
    'fd::17/foo',
    'transport::address',
    'git://git.example.test/app.git',
    'ftp://git.example.test/app.git',
    'javascript:alert(1)',
    'file://host/share',
    'https://',
    'https://-oProxyCommand=x/app',
    'ssh://-oProxyCommand=touch%20x/app',
    'ssh://git@git.example.test/a b',
    'ssh://git@-oProxyCommand=x/app',
    'ssh://git@host@-oProxyCommand=x/app',
    'ssh://-l@host/app',
    '-oProxyCommand=x@host:path',
    '-u@host:path',
    'git@-oProxyCommand:path',
    'git@-oProxyCommand=x:path',
    'git@host:-oProxyCommand=x',
    'git@host:--upload-pack=x',
    'relative/path',
    './app',
    '~/app',
    'C:\\app',
    'https://git.example.test/a\nb',
    '/srv/app\n--upload-pack=x',
    '/srv/app\r',
    '/srv/a\0b',
    `https://git.example.test/${'a'.repeat(1_000)}`,
  ])('%j is refused', (address) => {
    expect(RepositoryAddress.safeParse(address).success).toBe(false);
  });

  test.each(['main', 'feature/a-b', 'v1.2.3', 'refs/heads/main', 'b3c1f0a94be27d0e5f6a1c8d92e47b35a06f1d2c'])(
    'ref %s is taken',
    (ref) => expect(RepositorySpec.safeParse({ url: '/srv/app', ref }).success).toBe(true),
  );
  test.each(['', '-b', '--upload-pack=x', 'a b', 'a~1', 'a^', 'a:b', 'a?', 'a*', 'a[', 'a\\b', 'a\0', 'a\n'])(
    'ref %j is refused',
    (ref) => expect(RepositorySpec.safeParse({ url: '/srv/app', ref }).success).toBe(false),
  );
});

describe('a path in the workspace', () => {
  test.each(['a', 'src/a.ts', '.github/workflows/ci.yml', 'a..b', '..a/b', 'a/./b', 'with space/ü', '-rf'])(
    '%s is taken',
    (path) => expect(WorkspacePath.safeParse(path).success).toBe(true),
  );
  test.each(['', '/', '/etc/passwd', '..', '../a', 'a/..', 'a/../../b', 'a\0b', 'x'.repeat(1_025)])(
    '%j is refused',
    (path) => expect(WorkspacePath.safeParse(path).success).toBe(false),
  );
});

describe('credentials in a repository address', () => {
  test.each([
    [
      'https://me:p%40ss@host:8443/a/b.git?x=1',
      { url: 'https://host:8443/a/b.git?x=1', username: 'me', password: 'p%40ss' },
    ],
    ['http://me:a:b@127.0.0.1:8080/x.git', { url: 'http://127.0.0.1:8080/x.git', username: 'me', password: 'a:b' }],
    ['https://token-alone@host/x.git', { url: 'https://host/x.git', username: 'token-alone' }],
    ['https://:token@host/x.git', { url: 'https://host/x.git', password: 'token' }],
    ['https://me:pa#ss@host/x.git', { url: 'https://host/x.git', username: 'me', password: 'pa#ss' }],
    ['https://me:pass@host', { url: 'https://host', username: 'me', password: 'pass' }],
    ['ssh://git:pass@host:22/x.git', { url: 'ssh://git@host:22/x.git', password: 'pass' }],
  ])('%s is split', (address, split) => {
    expect(splitRepositoryCredentials(address)).toEqual(split);
    expect(RepositoryAddress.safeParse(split.url).success).toBe(true);
  });

  test.each([
    'https://host/a@b.git',
    'ssh://git@host/x.git',
    'git@host:a/b.git',
    'file:///srv/me:pass@host',
    '/srv/me:pass@host/x',
  ])('%s has none', (url) => {
    expect(splitRepositoryCredentials(url)).toEqual({ url });
  });
});
