/** What a person typed becomes exactly one request, or an error at the field that caused it. */
import { describe, expect, it } from 'vitest';
import { StartSessionBody } from '../../../../shared/http.ts';
import { TERMINAL_DEFAULT } from '../../../../shared/limits.ts';
import {
  choosingModel,
  DEMO_SCENARIO,
  EMPTY_FORM,
  fieldOfPath,
  readScenario,
  readStartForm,
  type StartForm,
} from '../../../../web/src/start/start-form.ts';
import { recallStart, rememberStart, type TextStore } from '../../../../web/src/start/start-memory.ts';
import { SubmissionKey } from '../../../../web/src/start/submission-key.ts';

const read = (over: Partial<StartForm>) =>
  readStartForm({ ...EMPTY_FORM, repository: '/srv/repo', ...over }, TERMINAL_DEFAULT);
const bodyOf = (over: Partial<StartForm>) => {
  const result = read(over);
  if (result.kind !== 'ok') throw new Error(JSON.stringify(result.errors));
  return result.body;
};
const errorsOf = (over: Partial<StartForm>) => {
  const result = read(over);
  return result.kind === 'bad' ? result.errors : {};
};

describe('readStartForm', () => {
  it('leaves out what was left empty', () => {
    const body = bodyOf({});
    for (const key of ['prompt', 'task', 'scenario', 'buildId', 'agentId']) expect(body).not.toHaveProperty(key);
    expect(body).toMatchObject({
      provider: 'claude_code',
      model: 'default',
      repository: { url: '/srv/repo' },
      terminal: TERMINAL_DEFAULT,
      endWhenDone: false,
    });
  });

  it('carries task, room, branch, build and prompt', () => {
    const body = bodyOf({
      ref: ' main ',
      roomPath: 'packages/api',
      buildId: 'b1',
      prompt: 'Do it',
      title: 'T',
      goal: 'G',
      constraints: 'one\n\n two ',
      acceptance: 'tests pass',
    });
    expect(body).toMatchObject({
      repository: { url: '/srv/repo', ref: 'main', roomPath: 'packages/api' },
      buildId: 'b1',
      prompt: 'Do it',
      task: { title: 'T', goal: 'G', constraints: ['one', 'two'], acceptance: ['tests pass'] },
      endWhenDone: true,
    });
  });

  it('sends the demo scenario with the scripted model only', () => {
    expect(bodyOf({ model: 'scripted' }).scenario?.turns).toHaveLength(1);
    expect(bodyOf({ model: 'default' })).not.toHaveProperty('scenario');
  });

  it('gives a shell neither model nor prompt', () => {
    const body = bodyOf({ provider: 'shell', model: 'scripted', prompt: 'x' });
    expect(body).toMatchObject({ provider: 'shell', model: 'default', endWhenDone: false });
    expect(body).not.toHaveProperty('prompt');
  });

  it('names every field that does not fit at once', () => {
    const errors = errorsOf({
      repository: 'ext::sh',
      ref: '-x',
      roomPath: '../up',
      goal: 'no title',
      model: 'scripted',
      scenario: '{',
    });
    expect(Object.keys(errors).sort()).toEqual(['ref', 'repository', 'roomPath', 'scenario', 'title']);
  });

  it('asks for a repository in words', () => {
    expect(errorsOf({ repository: ' ' }).repository).toContain('which repository');
  });
});

describe('scenarios', () => {
  it('begin with a demo that fits', () => {
    expect(readScenario(DEMO_SCENARIO).kind).toBe('ok');
  });

  it('say where they do not fit', () => {
    expect(readScenario('{"turns":[{"steps":[{"write":{"path":"/etc/x","content":""}}]}]}')).toMatchObject({
      kind: 'bad',
      message: expect.stringContaining('turns.0.steps.0'),
    });
  });
});

describe('fieldOfPath', () => {
  it('finds the field of every path that the API may name', () => {
    expect(fieldOfPath('repository.url')).toBe('repository');
    expect(fieldOfPath('task.constraints.3')).toBe('constraints');
    expect(fieldOfPath('scenario.turns.0')).toBe('scenario');
    expect(fieldOfPath('')).toBe('form');
    expect(fieldOfPath('promptly')).toBe('form');
  });
});

describe('submissions', () => {
  const counting = () => {
    let count = 0;
    return { next: () => 0, hex: () => `key-${++count}` };
  };

  it('keep their key until the body changes or it arrived', () => {
    const key = new SubmissionKey(counting());
    expect(key.for({ a: 1 })).toBe('key-1');
    expect(key.for({ a: 1 })).toBe('key-1');
    expect(key.for({ a: 2 })).toBe('key-2');
    key.used();
    expect(key.for({ a: 2 })).toBe('key-3');
  });

  it('are remembered for a retry, and foreign text is no body', () => {
    const kept = new Map<string, string>();
    const store: TextStore = {
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => void kept.set(key, value),
    };
    const body = StartSessionBody.parse(bodyOf({ prompt: 'again' }));
    rememberStart(store, 's1', body);
    expect(recallStart(store, 's1')).toEqual(body);
    expect(recallStart(store, 's2')).toBeNull();
    for (const key of kept.keys()) kept.set(key, '{"provider":"other"}');
    expect(recallStart(store, 's1')).toBeNull();
  });
});

describe('choosing a model', () => {
  const form = { ...EMPTY_FORM, model: 'default' };
  it('the demo brings a prompt where there is none and takes it along again', () => {
    const demo = { ...form, ...choosingModel(form, 'scripted') };
    expect(demo).toMatchObject({ model: 'scripted', prompt: expect.stringContaining('greeting') });
    expect({ ...demo, ...choosingModel(demo, 'default') }).toEqual(form);
  });
  it("a person's own prompt stays", () => {
    const own = { ...form, prompt: 'mine' };
    expect({ ...own, ...choosingModel(own, 'scripted') }.prompt).toBe('mine');
  });
  it('choosing what is chosen changes nothing', () => {
    expect(choosingModel(form, 'default')).toEqual({});
  });
});
