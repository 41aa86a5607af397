import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type GitCall, runGit } from '../../runner-image/src/workspace/git.ts';
import { mirrorPaths } from '../../runner-image/src/workspace/mirror.ts';
import { prepareWorkspace, type WorkspaceRequest } from '../../runner-image/src/workspace/prepare-workspace.ts';
import { contextFor, git, inherited, makeRepository, temporaryFolder } from './workspace-support.ts';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
});

/** Hands one request to `git http-backend` as CGI (RFC 3875). */
const answerByGit = (root: string, request: IncomingMessage, response: ServerResponse) => {
  const url = new URL(request.url ?? '/', 'http://x');
  const child = spawn(join(execFileSync('git', ['--exec-path'], { encoding: 'utf8' }).trim(), 'git-http-backend'), [], {
    stdio: ['pipe', 'pipe', 'ignore'],
    timeout: 20_000,
    env: {
      ...inherited,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method ?? 'GET',
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: String(request.headers['content-encoding'] ?? ''),
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
    },
  });
  request.pipe(child.stdin);
  child.stdin.on('error', () => {});
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.on('close', () => {
    const output = Buffer.concat(chunks);
    const split = output.indexOf('\r\n\r\n');
    for (const line of output.subarray(0, split).toString().split('\r\n')) {
      const [name = '', value = ''] = line.split(': ');
      if (name === 'Status') response.statusCode = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.end(output.subarray(split + 4));
  });
};

const serve = async (answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> => {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

/** A git host with one repository, `/team/app.git`, which may want a password. */
const gitHost = async (password?: string) => {
  const root = temporaryFolder();
  const repository = makeRepository({ 'a.txt': 'one\n', 'rooms/kitchen/x': 'x\n' });
  git(root, 'clone', '-q', '--bare', repository, 'team/app.git');
  const asked: (string | undefined)[] = [];
  const origin = await serve((request, response) => {
    asked.push(request.headers.authorization);
    const [, encoded = ''] = (request.headers.authorization ?? '').split(' ');
    if (password !== undefined && Buffer.from(encoded, 'base64').toString() !== `x-access-token:${password}`) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
      return;
    }
    answerByGit(root, request, response);
  });
  return { origin, url: `${origin}/team/app.git`, asked };
};

const request = (url: string, more: Partial<WorkspaceRequest> = {}): WorkspaceRequest => ({
  sessionId: 's1',
  tenantId: 't1',
  url,
  ...more,
});

describe('a workspace over http', () => {
  it('clones, then fetches into the warm mirror', async () => {
    const root = temporaryFolder();
    const { url } = await gitHost();
    const first = await prepareWorkspace(contextFor(root), request(url, { roomPath: 'rooms/kitchen' }));
    expect(first).toMatchObject({ kind: 'ready', mirror: 'cold', branch: 'main' });
    const second = await prepareWorkspace(contextFor(root), request(url, { sessionId: 's2' }));
    expect(second).toMatchObject({ kind: 'ready', mirror: 'warm' });
    expect(git(join(root, 'workspaces/s2'), 'remote', 'get-url', 'origin')).toBe(url);
  });

  it('sends a token to its host only and leaves it nowhere on disk', async () => {
    const root = temporaryFolder();
    const token = 'canary-9f3c1d';
    const { url } = await gitHost(token);
    const denied = await prepareWorkspace(contextFor(root), request(url));
    expect(denied).toMatchObject({ kind: 'failed', code: 'access_denied' });
    const wrong = await prepareWorkspace(contextFor(root), request(url, { token: 'wrong' }));
    expect(wrong).toMatchObject({ kind: 'failed', code: 'access_denied' });
    expect(await prepareWorkspace(contextFor(root), request(url, { token }))).toMatchObject({ kind: 'ready' });
    const inUrl = url.replace('http://', `http://x-access-token:${token}@`);
    const again = await prepareWorkspace(contextFor(root), request(inUrl, { sessionId: 's2' }));
    expect(again).toMatchObject({ kind: 'ready', mirror: 'warm' });
    const encoded = Buffer.from(`x-access-token:${token}`).toString('base64');
    let files = 0;
    for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      files += 1;
      const content = readFileSync(join(entry.parentPath, entry.name), 'latin1');
      expect(content.includes(token) || content.includes(encoded)).toBe(false);
    }
    expect(files).toBeGreaterThan(20);
  });

  it('sends the user that the token belongs to, through no command line', async () => {
    const root = temporaryFolder();
    const { url, asked } = await gitHost();
    const calls: unknown[] = [];
    const context = contextFor(root);
    const spy = (call: GitCall) => {
      calls.push(call.args);
      return runGit(call);
    };
    const watched = { ...context, git: spy };
    const result = await prepareWorkspace(watched, request(url, { token: 'p@ss:word', username: 'me' }));
    expect(result).toMatchObject({ kind: 'ready' });
    const encoded = Buffer.from('me:p@ss:word').toString('base64');
    expect(new Set(asked)).toEqual(new Set([`Basic ${encoded}`]));
    expect(calls.length).toBeGreaterThan(3);
    expect(JSON.stringify(calls)).not.toMatch(/p@ss|Basic/);
    expect(JSON.stringify(calls)).not.toContain(encoded);
    expect(readFileSync(join(root, 'workspaces/s1/.git/config'), 'utf8')).not.toMatch(/p@ss|Basic|me:/);
  });

  it('a warm mirror helps nobody who has no access any more', async () => {
    const root = temporaryFolder();
    const { url } = await gitHost('secret');
    expect(await prepareWorkspace(contextFor(root), request(url, { token: 'secret' }))).toMatchObject({
      kind: 'ready',
    });
    expect(existsSync(mirrorPaths(root, 't1', url).folder)).toBe(true);
    const other = await prepareWorkspace(contextFor(root), request(url, { sessionId: 's2' }));
    expect(other).toMatchObject({ kind: 'failed', code: 'access_denied' });
    expect(readdirSync(join(root, 'workspaces'))).toEqual(['s1']);
  });

  it('a repository or branch that does not exist, a host that is silent or talks nonsense', async () => {
    const root = temporaryFolder();
    const { origin, url } = await gitHost();
    const code = async (address: string, more: Partial<WorkspaceRequest> = {}, probeMs = 8_000) => {
      const result = await prepareWorkspace(contextFor(root, { limits: { probeMs } }), request(address, more));
      return result.kind === 'failed' ? result.code : 'ready';
    };
    expect(await code(`${origin}/team/none.git`)).toBe('repository_not_found');
    expect(await code(url, { ref: 'nope' })).toBe('ref_not_found');
    const silent = await serve(() => {});
    expect(await code(`${silent}/a.git`, {}, 300)).toBe('timeout');
    const nonsense = await serve((_request, response) => response.end('<!doctype html>\n<html>\n<p>hello\n</html>\n'));
    expect(await code(`${nonsense}/a.git`)).toBe('repository_not_found');
    expect(readdirSync(join(root, 'workspaces'))).toEqual([]);
  });

  it('does not follow a redirect, least of all with the token', async () => {
    const other = await gitHost();
    const redirect = await serve((incoming, response) => {
      response.writeHead(302, { location: `${other.origin}${incoming.url}` }).end();
    });
    const result = await prepareWorkspace(
      contextFor(temporaryFolder()),
      request(`${redirect}/team/app.git`, { token: 'canary' }),
    );
    expect(other.asked).toEqual([]);
    expect(result).toMatchObject({ kind: 'failed', code: 'repository_not_found' });
    expect(result).toHaveProperty('message', expect.stringContaining('moved'));
  });
});
