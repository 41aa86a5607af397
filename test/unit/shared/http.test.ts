import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import * as http from '../../../shared/http.ts';
import { fixture, fixtureNames, type JsonObject } from './fixtures.ts';

const schemas = Object.entries(http).flatMap(([name, value]): [string, z.ZodType][] =>
  value instanceof z.ZodType ? [[name, value]] : [],
);
const fileOf = (name: string) => name.replaceAll(/([a-z])([A-Z])/g, '$1-$2').toLowerCase();

test('there is one example of each body', () => {
  expect(fixtureNames('http')).toEqual(schemas.map(([name]) => fileOf(name)).sort());
});

describe.each(schemas)('%s', (name, schema) => {
  const body = fixture('http', fileOf(name));

  test('parses and comes back byte for byte', () => {
    expect(JSON.stringify(schema.parse(body))).toBe(JSON.stringify(body));
  });

  test.skipIf(name === 'EndpointFile')('refuses a field it does not know', () => {
    expect(schema.safeParse({ ...body, surprise: 1 }).success).toBe(false);
  });
});

/** First issue as a caller gets it. */
const refusal = (schema: z.ZodType, value: unknown): string => {
  const result = schema.safeParse(value);
  if (result.success) return 'accepted';
  const issue = result.error.issues[0];
  return `${issue?.path.join('.')}: ${issue?.message}`;
};

describe('a start', () => {
  const shell: JsonObject = { provider: 'shell', repository: { url: 'https://git.example.test/acme/app.git' } };
  const scenario = { turns: [] };

  test('takes what is left out from its defaults', () => {
    expect(http.StartSessionBody.parse(shell)).toEqual({
      ...shell,
      model: 'default',
      terminal: { cols: 120, rows: 32 },
      maxDurationMs: 28_800_000,
      idleMs: 7_200_000,
      pool: 'hosted',
      parkAfterMs: 900_000,
    });
  });

  test.each([
    ['no provider', { provider: undefined }, 'provider: Invalid option: expected one of'],
    ['an unknown provider', { provider: 'cursor' }, 'provider: Invalid option: expected one of'],
    ['no repository', { repository: undefined }, 'repository: Invalid input: expected object'],
    ['a repository as text', { repository: '/srv/app' }, 'repository: Invalid input: expected object'],
    [
      'a transport that runs a command',
      { repository: { url: 'ext::sh -c true' } },
      'repository.url: must be an https or ssh address',
    ],
    [
      'an option as ref',
      { repository: { url: '/srv/app', ref: '--upload-pack=x' } },
      'repository.ref: must be a branch, tag or commit name',
    ],
    [
      'a room outside',
      { repository: { url: '/srv/app', roomPath: '../etc' } },
      'repository.roomPath: must be relative to the workspace, without ..',
    ],
    ['an empty prompt', { prompt: '' }, 'prompt: Too small'],
    ['a prompt over 64 Ki characters', { prompt: 'x'.repeat(65_537) }, 'prompt: Too big'],
    ['a scenario without the scripted model', { scenario }, 'scenario: a scenario goes with model "scripted"'],
    [
      'the scripted model without a scenario',
      { provider: 'claude_code', model: 'scripted' },
      'scenario: a scenario goes with model "scripted"',
    ],
    ['a model for the shell', { model: 'scripted', scenario }, 'model: shell has no model: leave model out'],
    ['a model that is an option', { model: '--dangerous' }, 'model: Invalid string'],
    ['a terminal of no width', { terminal: { cols: 0, rows: 24 } }, 'terminal.cols: Too small'],
    ['a terminal too tall', { terminal: { cols: 80, rows: 301 } }, 'terminal.rows: Too big'],
    ['a duration over the limit', { maxDurationMs: 28_800_001 }, 'maxDurationMs: Too big'],
    ['an idle time as text', { idleMs: '1000' }, 'idleMs: Invalid input: expected number'],
    ['a build that would leave its key', { buildId: 'a#b' }, 'buildId: Invalid string'],
    ['a task without a title', { task: {} }, 'task.title: Invalid input: expected string'],
    ['a field with a typing error', { promt: 'x' }, ': Unrecognized key: "promt"'],
  ])('refuses %s', (_name, over, expected) => {
    expect(refusal(http.StartSessionBody, { ...shell, ...over }).startsWith(expected)).toBe(true);
  });

  test.each([
    ['a step of two kinds', { say: 'x', run: 'y' }],
    ['a path outside', { write: { path: '/etc/passwd', content: '' } }],
    ['a parent in a path', { write: { path: 'a/../../b', content: '' } }],
    ['a NUL in a path', { write: { path: 'a\0b', content: '' } }],
    ['an empty command', { run: '' }],
    ['a wait without end', { waitMs: 600_001 }],
  ])('refuses a scenario with %s, and says where', (_name, step) => {
    const body = {
      ...shell,
      provider: 'claude_code',
      model: 'scripted',
      scenario: { turns: [{ steps: [{ say: 'x' }, step] }] },
    };
    expect(refusal(http.StartSessionBody, body)).toContain('scenario.turns.0.steps.1');
  });
});

describe('queries', () => {
  test('numbers arrive as text', () => {
    expect(http.ListEventsQuery.parse({ fromSeq: '7', limit: '1000' })).toEqual({ fromSeq: 7, limit: 1_000 });
    expect(http.ListSessionsQuery.parse({})).toEqual({ limit: 50 });
    expect(http.TranscriptQuery.parse({})).toEqual({ from: '1:0', limit: 200, format: 'chunks' });
  });
  test.each([
    [http.ListEventsQuery, { fromSeq: '-1' }],
    [http.ListEventsQuery, { limit: '0' }],
    [http.ListEventsQuery, { limit: '1001' }],
    [http.ListEventsQuery, { limit: 'ten' }],
    [http.ListSessionsQuery, { state: 'lost' }],
    [http.ListSessionsQuery, { limit: '201' }],
    [http.TranscriptQuery, { from: '1' }],
    [http.TranscriptQuery, { from: '1:0 OR 1' }],
  ])('%# is refused', (schema, query) => {
    expect(schema.safeParse(query).success).toBe(false);
  });
});
