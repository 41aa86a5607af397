/** A wall clock that a test moves while a program runs: a module that Node loads first, and a file that says by how much. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MODULE = (file: string): string => `
const { readFileSync } = require('node:fs');
const System = Date;
const now = System.now.bind(System);
let movedMs = 0;
let readAtMs = -Infinity;
const moved = () => {
  if (performance.now() - readAtMs > 50) {
    readAtMs = performance.now();
    try { movedMs = Number(readFileSync(${JSON.stringify(file)}, 'utf8')) || 0; } catch {}
  }
  return movedMs;
};
globalThis.Date = class Date extends System {
  constructor(...args) { args.length === 0 ? super(now() + moved()) : super(...args); }
  static now() { return now() + moved(); }
};
`;

export interface MovedClock {
  /** For Node, before the program; children that inherit Node's arguments are moved too. */
  readonly nodeArgs: readonly string[];
  /** From now on the wall clock is `ms` ahead of the real one, or behind. */
  move(ms: number): void;
}

export const movedClock = (folder: string, name: string): MovedClock => {
  const file = join(folder, `${name}.moved`);
  const module = join(folder, `${name}.cjs`);
  const move = (ms: number): void => writeFileSync(file, String(ms));
  move(0);
  writeFileSync(module, MODULE(file));
  return { nodeArgs: ['--require', module], move };
};
