import { describe, expect, it } from 'vitest';
import { repositoryAccess, sessionSecrets } from '../../../../runner-image/src/session/session-secrets.ts';
import type { RunnerCredentials } from '../../../../shared/http.ts';

const base = { expiresAt: '2026-01-01T00:00:00.000Z', inputs: {} };
const secretsOf = (repository: RunnerCredentials['repository'], model: RunnerCredentials['model'] = { kind: 'none' }) =>
  sessionSecrets({ ...base, model, repository }, ['capability']);

describe('secrets of a session', () => {
  it('holds a password as written, decoded, and as git sends it', () => {
    expect(secretsOf({ token: 'p%40ss-word', username: 'me' })).toEqual([
      'capability',
      'p%40ss-word',
      'p@ss-word',
      Buffer.from('me:p@ss-word').toString('base64'),
    ]);
  });

  it('takes a password that is not percent-encoded', () => {
    expect(secretsOf({ token: '100%-sure', username: null })).toContain('100%-sure');
  });

  it.each([null, 'x-oauth-basic'])('holds a token that stands for the user, with %s as password', (token) => {
    expect(secretsOf({ token, username: 'ghp_token' })).toContain('ghp_token');
  });

  it('leaves out a user with a password, and what is too short', () => {
    const secrets = secretsOf({ token: 'short', username: 'somebody' });
    expect(secrets).not.toContain('somebody');
    expect(secrets).not.toContain('short');
  });

  it('holds the key of the model', () => {
    const model = { kind: 'anthropic', apiKey: 'real-key', baseUrl: 'https://x' } as const;
    expect(secretsOf({ token: null, username: null }, model)).toEqual(['capability', 'real-key']);
  });
});

describe('access to a repository', () => {
  it('is decoded, and has a user also for a token alone', () => {
    expect(repositoryAccess({ token: 'a%3Ab', username: 'm%40e' })).toEqual({ token: 'a:b', username: 'm@e' });
    expect(repositoryAccess({ token: 't', username: null })).toEqual({ token: 't', username: 'x-access-token' });
    expect(repositoryAccess({ token: null, username: 'ghp' })).toEqual({ token: '', username: 'ghp' });
    expect(repositoryAccess({ token: null, username: null })).toBeNull();
  });
});
