import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findClis } from '../../../../runner-image/src/host/find-clis.ts';
import { humanLine } from '../../../../runner-image/src/host/human-log.ts';
import { parseOptions } from '../../../../runner-image/src/host/options.ts';
import { RUNNER_SESSIONS_DEFAULT } from '../../../../shared/limits.ts';

const folder = mkdtempSync(join(tmpdir(), 'village-runner-options-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SECRET = 'f'.repeat(64);
const TOKEN = `rr.local.rnr_1.${SECRET}`;
const SESSION_TOKEN = `rt.local.ses_01J0000000000000000000000A.1.${SECRET}`;
const good = ['--url', 'https://village.example', '--token', TOKEN];
const parse = (args: readonly string[], env: Record<string, string> = { HOME: '/home/ada' }) =>
  parseOptions(args, env, '/work');

describe('options of village-runner', () => {
  it('fills in folders below the person’s own, by name', () => {
    const base = '/home/ada/.local/state/agent-village';
    expect(parse(good)).toEqual({
      kind: 'run',
      options: {
        ...{ url: 'https://village.example', token: TOKEN, maxSessions: RUNNER_SESSIONS_DEFAULT, buildDir: undefined },
        ...{ workspace: `${base}/runner`, state: `${base}/runner/state` },
      },
    });
    const named = parse([...good, '--name', 'attic', '--max-sessions', '8', '--build-dir', folder]);
    expect(named).toMatchObject({
      options: { workspace: `${base}/attic`, state: `${base}/attic/state`, maxSessions: 8, buildDir: folder },
    });
    expect(parse(good, { HOME: '/home/ada', XDG_STATE_HOME: '/var/ada' })).toMatchObject({
      options: { workspace: '/var/ada/agent-village/runner' },
    });
  });

  it('takes folders from where it is called, and needs neither address nor token', () => {
    expect(parse(['--workspace', 'clones', '--state', '../s'])).toMatchObject({
      options: { url: undefined, token: undefined, workspace: '/work/clones', state: '/s' },
    });
  });

  it('takes what the image’s variables say where no option does', () => {
    const env = {
      ...{ CONTROL_PLANE_URL: 'http://127.0.0.1:1', CONTROL_PLANE_TOKEN: TOKEN, WORKSPACE_ROOT: '/village' },
      ...{ MAX_CONCURRENT_SESSIONS: '2', VILLAGE_BUILD_DIR: folder },
    };
    expect(parse([], env)).toMatchObject({
      options: { url: 'http://127.0.0.1:1', state: '/village/state', maxSessions: 2, buildDir: folder },
    });
  });

  it.each([
    [['--url', 'ftp://x'], '--url must be an http or https address'],
    [['--url', 'https://ada:secret@x'], '--url must be an origin alone'],
    [['--token', 'mistyped'], '--token is no token of a runner: copy the whole command that was printed'],
    [['--token', SESSION_TOKEN], '--token is not a registered runner’s: register one with village runners register'],
    [['--max-sessions', '0'], '--max-sessions must be a number from 1 to 32'],
    [['--max-sessions', '1e1'], '--max-sessions must be a number from 1 to 32'],
    [['--max-sessions', '33'], '--max-sessions must be a number from 1 to 32'],
    [['--name', '../up'], '--name may have letters'],
    [['--build-dir', '/no/such/folder'], '--build-dir is no folder: /no/such/folder'],
    [['--tokn', TOKEN], "Unknown option '--tokn'"],
    [['surprise'], "Unexpected argument 'surprise'"],
  ])('says what to do about %j', (args, line) => {
    expect(parse([...good, ...args])).toMatchObject({ kind: 'bad', lines: [expect.stringContaining(line)] });
  });

  it('says everything at once, and never shows the token', () => {
    const parsed = parse(['--url', 'x', '--max-sessions', 'many', '--token', SESSION_TOKEN]);
    expect(parsed).toMatchObject({ kind: 'bad', lines: { length: 3 } });
    expect(JSON.stringify(parsed)).not.toContain(SECRET);
  });

  it('needs a folder where there is no home', () => {
    expect(parse(good, {})).toMatchObject({ lines: ['--workspace is needed, because HOME is not set'] });
    expect(parse([...good, '--workspace', '/w'], {})).toMatchObject({ kind: 'run' });
  });

  it('helps', () => {
    expect([parse(['--help']), parse(['-h']), parse(['--version'])].map(({ kind }) => kind)).toEqual([
      'help',
      'help',
      'version',
    ]);
  });
});

describe('CLIs of a person', () => {
  it('are the first programs of their names in PATH', () => {
    const [one, two] = ['one', 'two'].map((name) => join(folder, name)) as [string, string];
    for (const bin of [one, two]) mkdirSync(bin, { recursive: true });
    const program = (file: string, mode: number) => {
      writeFileSync(file, '#!/bin/sh\n');
      chmodSync(file, mode);
    };
    program(join(one, 'codex'), 0o644);
    mkdirSync(join(one, 'claude'));
    program(join(two, 'codex'), 0o755);
    program(join(two, 'claude'), 0o755);
    expect(findClis(`relative:${one}:${two}`)).toEqual({
      CLAUDE_CODE_PATH: join(two, 'claude'),
      CODEX_PATH: join(two, 'codex'),
    });
    expect(findClis('')).toEqual({});
  });
});

describe('a line for people', () => {
  it('is short, and one line whatever was logged', () => {
    const fields = { ts: '2026-01-02T03:04:05.678Z', level: 'warn', message: 'a\u001b[2Jb', runnerId: 'r' };
    expect(humanLine(JSON.stringify({ ...fields, sessionId: 's', error: 'x\ny', live: 2 }))).toBe(
      '03:04:05 warn  a [2Jb  sessionId=s error=x y live=2',
    );
  });
  it('is the text where it is no line of the runner', () => {
    expect(humanLine('pty-host: left\u0007 over')).toBe('pty-host: left  over');
    expect(humanLine('{"a":1}')).toBe('{"a":1}');
  });
});
