import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimState, identify } from '../../../../runner-image/src/host/identity.ts';
import { openDialStore } from '../../../../runner-image/src/transport/dial-store.ts';
import { fixedRandom } from '../manual-clock.ts';

let state: string;
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'village-identity-'));
});
afterEach(() => rmSync(state, { recursive: true, force: true }));

const URL_ONE = 'https://one.example';
const tokenOf = (runnerId: string) => `rr.local.${runnerId}.${'a'.repeat(64)}`;
const claim = (runnerId: string, url = URL_ONE) => claimState({ url, token: tokenOf(runnerId), state });
const dialled = (runnerId: string) => {
  const store = openDialStore(join(state, 'dial.json'), tokenOf(runnerId), fixedRandom());
  store.succeeded(store.begin().dial);
};

describe('the runner of a state folder', () => {
  it('starts with what it is given, and goes on without', () => {
    expect(identify({ url: URL_ONE, token: tokenOf('r1'), state })).toEqual({
      kind: 'ok',
      url: URL_ONE,
      token: tokenOf('r1'),
    });
    expect(claim('r1')).toEqual({ kind: 'ok' });
    dialled('r1');
    const later = identify({ url: undefined, token: undefined, state });
    expect(later).toMatchObject({ kind: 'ok', url: URL_ONE });
    expect(later).not.toMatchObject({ token: tokenOf('r1') });
    expect(statSync(join(state, 'runner.json')).mode & 0o777).toBe(0o600);
    expect(identify({ url: `${URL_ONE}/`, token: undefined, state })).toMatchObject({ kind: 'ok' });
  });

  it('says what is missing', () => {
    expect(identify({ url: URL_ONE, token: undefined, state })).toMatchObject({
      message: expect.stringContaining('keeps no credential: start once with --url and --token'),
    });
    expect(identify({ url: undefined, token: tokenOf('r1'), state })).toMatchObject({
      message: expect.stringContaining('--url is needed with --token'),
    });
  });

  it('never sends a credential to another village', () => {
    claim('r1');
    dialled('r1');
    expect(identify({ url: 'https://two.example', token: undefined, state })).toMatchObject({
      kind: 'refused',
      message: expect.stringContaining(`keeps a credential of ${URL_ONE}`),
    });
  });

  it('keeps its credential when the same command is run again', () => {
    claim('r1');
    dialled('r1');
    expect(claim('r1')).toEqual({ kind: 'ok' });
    expect(existsSync(join(state, 'dial.json'))).toBe(true);
  });

  it('gives way to a new registration, but not while sessions lie there', () => {
    claim('r1');
    dialled('r1');
    mkdirSync(join(state, 'sessions', 'ses_1'), { recursive: true });
    expect(claim('r2')).toMatchObject({
      kind: 'refused',
      message: expect.stringContaining('holds sessions of the runner r1: start that one without --token'),
    });
    expect(existsSync(join(state, 'dial.json'))).toBe(true);
    rmSync(join(state, 'sessions'), { recursive: true });
    expect(claim('r2')).toEqual({ kind: 'ok' });
    expect(existsSync(join(state, 'dial.json'))).toBe(false);
  });

  it('does not guess from a damaged file', () => {
    writeFileSync(join(state, 'runner.json'), '{');
    expect(() => claim('r1')).toThrow();
    expect(() => identify({ url: undefined, token: undefined, state })).toThrow();
  });
});
