/** The recorded examples under test/fixtures: what a reader of the protocol sees and what tests take as their starting point. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../../fixtures');

export type JsonObject = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Names without `.json`, in code-unit order. */
export const fixtureNames = (folder: string): string[] =>
  readdirSync(join(ROOT, folder))
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();

/** @throws Error where the file holds no JSON object */
export const fixture = (folder: string, name: string): JsonObject => {
  const value: unknown = JSON.parse(readFileSync(join(ROOT, folder, `${name}.json`), 'utf8'));
  if (!isObject(value)) throw new Error(`${folder}/${name}.json is no JSON object`);
  return value;
};

export const sizeBytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));
