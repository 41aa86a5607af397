/** Decides what a repository address is before git sees it: git takes far more (ext::, fd::, options) than we do. */
import { fileURLToPath } from 'node:url';
import type { GitProtocol } from './git-environment.ts';

export interface RepositorySources {
  /** Paths on this machine; off where tenants share one. */
  readonly local: boolean;
  /** Plain http to 127.0.0.1 or localhost (a git broker); never to anywhere else. */
  readonly loopbackHttp: boolean;
}

export type RepositoryLocation =
  | {
      readonly kind: 'remote';
      readonly protocol: Exclude<GitProtocol, 'file'>;
      /** Without credentials: fit for logs, the mirror's name and the clone's `origin`. */
      readonly url: string;
      /** `scheme://host[:port]` for https and http, where credentials go. */
      readonly origin: string | null;
      /** `user:password` as written in the address. */
      readonly credentials: string | null;
    }
  | { readonly kind: 'local'; readonly path: string }
  | { readonly kind: 'unsupported'; readonly message: string; readonly hint: string };

const unsupported = (message: string, hint: string): RepositoryLocation => ({ kind: 'unsupported', message, hint });

const FORMS = 'Use an https or ssh address, git@host:path, or an absolute path.';
const SCP_LIKE = /^[A-Za-z0-9_.][\w.-]*@[A-Za-z0-9_][\w.-]*:(?!\/\/)[^-:\s][^\s]*$/;
const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]']);

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
const CONTROL = /[\0-\x1f\x7f]/;
const controlCharacters = () => unsupported('The address holds control characters.', FORMS);

const local = (path: string, sources: RepositorySources): RepositoryLocation => {
  // Asked again here, because a file address may have them encoded.
  if (CONTROL.test(path)) return controlCharacters();
  return sources.local
    ? { kind: 'local', path }
    : unsupported('This runner takes no repositories from its own disk.', 'Use an https or ssh address.');
};

const ssh = (url: URL): RepositoryLocation => {
  if (url.username.startsWith('-') || url.hostname.startsWith('-') || url.hostname === '') {
    return unsupported('The ssh address has no usable host.', FORMS);
  }
  const user = url.username === '' ? '' : `${url.username}@`;
  return {
    kind: 'remote',
    protocol: 'ssh',
    url: `ssh://${user}${url.host}${url.pathname}`,
    origin: null,
    credentials: null,
  };
};

const web = (url: URL, protocol: 'http' | 'https'): RepositoryLocation => {
  const named = url.username !== '' || url.password !== '';
  return {
    kind: 'remote',
    protocol,
    url: `${url.protocol}//${url.host}${url.pathname}${url.search}`,
    origin: `${url.protocol}//${url.host}`,
    credentials: named ? `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}` : null,
  };
};

const parsed = (url: URL, sources: RepositorySources): RepositoryLocation => {
  switch (url.protocol) {
    case 'https:':
      return web(url, 'https');
    case 'http:':
      if (sources.loopbackHttp && LOOPBACK.has(url.hostname)) return web(url, 'http');
      return unsupported('Plain http would send the code and the token in the clear.', 'Use https:// in the address.');
    case 'ssh:':
      return ssh(url);
    case 'file:':
      if (url.hostname !== '') return unsupported('A file address names no other machine.', FORMS);
      return local(fileURLToPath(url), sources);
    default:
      return unsupported(`Addresses that begin with ${url.protocol} are not supported.`, FORMS);
  }
};

/** Reads a repository address as a person typed it. Never throws; whatever is not a known form is `unsupported`. */
export const parseRepositoryUrl = (address: string, sources: RepositorySources): RepositoryLocation => {
  if (CONTROL.test(address)) return controlCharacters();
  if (address.startsWith('/')) return local(address, sources);
  if (SCP_LIKE.test(address)) return { kind: 'remote', protocol: 'ssh', url: address, origin: null, credentials: null };
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(address)) {
    return unsupported('This is neither an address nor an absolute path.', FORMS);
  }
  try {
    return parsed(new URL(address), sources);
  } catch {
    // URL, fileURLToPath and decodeURIComponent throw on what they cannot read: the same answer for all.
    return unsupported('The address cannot be read.', FORMS);
  }
};
