import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRepositoryUrl } from '../../../../runner-image/src/workspace/repository-url.ts';

const everything = { local: true, loopbackHttp: true };
const nothing = { local: false, loopbackHttp: false };

describe('parseRepositoryUrl', () => {
  it.each([
    ['https://example.com/a/b.git', 'https', 'https://example.com/a/b.git', null],
    ['HTTPS://Example.com:8443/a', 'https', 'https://example.com:8443/a', null],
    ['https://me:s%40cret@example.com/a', 'https', 'https://example.com/a', 'me:s@cret'],
    ['https://token@example.com/a', 'https', 'https://example.com/a', 'token:'],
    ['http://127.0.0.1:8080/a.git', 'http', 'http://127.0.0.1:8080/a.git', null],
    ['http://[::1]/a.git', 'http', 'http://[::1]/a.git', null],
    ['ssh://git@example.com:2222/a/b', 'ssh', 'ssh://git@example.com:2222/a/b', null],
    ['ssh://git:pw@example.com/a', 'ssh', 'ssh://git@example.com/a', null],
    ['git@example.com:a/b.git', 'ssh', 'git@example.com:a/b.git', null],
  ])('%s is remote', (address, protocol, url, credentials) => {
    expect(parseRepositoryUrl(address, everything)).toMatchObject({ kind: 'remote', protocol, url, credentials });
  });

  it.each([
    ['/srv/a b', '/srv/a b'],
    ['file:///srv/a%20b', '/srv/a b'],
    ['/a:b', '/a:b'],
  ])('%s is local', (address, path) => {
    expect(parseRepositoryUrl(address, everything)).toEqual({ kind: 'local', path });
    expect(parseRepositoryUrl(address, nothing)).toMatchObject({ kind: 'unsupported' });
  });

  it.each([
    'ext::sh -c id',
    'fd::3',
    '--upload-pack=id',
    '-oProxyCommand=id',
    'a/b',
    './a',
    '../a',
    '~/a',
    'example.com:a',
    '-oProxyCommand=id@host:a',
    'git@-oProxyCommand=id:a',
    'git@host:-a',
    'ssh://-oProxyCommand=id/a',
    'ssh://-o@host/a',
    'http://example.com/a',
    'http://127.0.0.1.example.com/a',
    'http://localhost@example.com/a',
    'git://example.com/a',
    'ftp://example.com/a',
    'file://host/a',
    'file:///a%00b',
    'https://',
    'https://example.com/a\nb',
    'https://%@example.com',
    'http::https://example.com/a',
    '',
    '/a\0b',
  ])('%j is refused with a sentence', (address) => {
    const parsed = parseRepositoryUrl(address, everything);
    if (parsed.kind !== 'unsupported') throw new Error(`taken as ${JSON.stringify(parsed)}`);
    expect(parsed.message).toMatch(/^[A-Z].*\.$/);
    expect(parsed.hint).toMatch(/^[A-Z].*\.$/);
  });

  it('plain http is refused where it is switched off, loopback included', () => {
    expect(parseRepositoryUrl('http://127.0.0.1/a', nothing)).toMatchObject({ kind: 'unsupported' });
  });

  it('never throws, and never hands git an option, a helper or a credential', () => {
    const piece = fc.constantFrom(
      'ext::',
      '-',
      '--',
      'https://',
      'ssh://',
      'file://',
      '@',
      ':',
      '/',
      'host',
      '%00',
      '\0',
      'user',
      ' ',
      '::',
      'p%40w',
    );
    const address = fc.oneof(
      fc.string(),
      fc.array(piece, { maxLength: 8 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(address, (text) => {
        const parsed = parseRepositoryUrl(text, everything);
        if (parsed.kind === 'local') expect(parsed.path).toMatch(/^\//);
        if (parsed.kind !== 'remote') return;
        expect(parsed.url).not.toMatch(/^-|^\w+::/);
        expect(parsed.url).not.toMatch(/^https?:\/\/[^/]*@/);
      }),
      { numRuns: 3_000, seed: 7 },
    );
  });
});
