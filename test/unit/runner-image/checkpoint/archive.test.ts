/** Trees and archives as hostile as can be: what goes in comes out, and nothing is ever read or written outside. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addFolder, addPath } from '../../../../runner-image/src/checkpoint/add-files.ts';
import { readArchive } from '../../../../runner-image/src/checkpoint/archive-reader.ts';
import { ArchiveTooLarge, ArchiveWriter } from '../../../../runner-image/src/checkpoint/archive-writer.ts';
import { fromText, isPlainPath, linkStaysInside, toBytes } from '../../../../runner-image/src/checkpoint/byte-path.ts';
import { placeFile } from '../../../../runner-image/src/checkpoint/place-file.ts';
import { TarDamaged } from '../../../../runner-image/src/checkpoint/tar-format.ts';
import { insideWriter, NotWritable } from '../../../../runner-image/src/checkpoint/write-inside.ts';

const RUNS = 1_000;
const MIB = 1024 * 1024;
const LIMITS = { maxBytes: 16 * MIB, maxUnpackedBytes: 64 * MIB };
const signal = new AbortController().signal;

let root = '';
let made = 0;
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'checkpoint-unit-')));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Two folders beside each other, and what lies outside of both. */
const places = () => {
  made += 1;
  const top = join(root, String(made));
  const [from, to, outside] = [join(top, 'from'), join(top, 'to'), join(top, 'outside')];
  for (const folder of [from, to, outside]) mkdirSync(folder, { recursive: true });
  writeFileSync(join(outside, 'secret'), 'CANARY');
  return { top, from, to, outside, archive: join(top, 'archive') };
};

const treeOf = (folder: string): Map<string, string> => {
  const tree = new Map<string, string>();
  const walk = (at: Buffer, below: string): void => {
    for (const name of readdirSync(at, { encoding: 'buffer' })) {
      const path = Buffer.concat([at, Buffer.from('/'), name]);
      const relative = below + name.toString('latin1');
      const stats = lstatSync(path);
      if (stats.isDirectory()) walk(path, `${relative}/`);
      else if (stats.isSymbolicLink()) tree.set(relative, `link ${readlinkSync(path, { encoding: 'latin1' })}`);
      else tree.set(relative, `${stats.mode & 0o777} ${readFileSync(path, 'latin1')}`);
    }
  };
  walk(Buffer.from(folder), '');
  return new Map([...tree].sort());
};

const collect = async <T>(source: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const one of source) all.push(one);
  return all;
};

const pack = async (from: string, archive: string): Promise<string[]> => {
  const writer = new ArchiveWriter(archive, LIMITS);
  const leftOut: string[] = [];
  await addFolder({ archive: writer, root: fromText(from), leftOut, signal }, '');
  await writer.finish();
  return leftOut;
};

const unpack = async (archive: string, from: string, to: string): Promise<void> => {
  const placing = { work: insideWriter(fromText(to)), from: fromText(from), root: fromText(to) };
  for await (const entry of readArchive(archive, { maxUnpackedBytes: LIMITS.maxUnpackedBytes }))
    if (entry.path.startsWith('files/')) await placeFile(placing, entry.path.slice('files/'.length), entry);
};

const isKnown = (error: unknown): boolean =>
  error instanceof TarDamaged ||
  error instanceof NotWritable ||
  (error as NodeJS.ErrnoException).code?.startsWith('Z_') === true;

// A name of bytes: any but NUL and the separator.
const name = fc.oneof(
  fc.constantFrom(
    'a',
    'b',
    'c',
    'dir',
    '.hidden',
    '-rf',
    ' ',
    'é',
    '\xff\xfe',
    'new\nline',
    '*',
    '"',
    '\\',
    'x'.repeat(120),
  ),
  fc
    .uint8Array({ minLength: 1, maxLength: 12 })
    .map((bytes) => Buffer.from(bytes).toString('latin1').replaceAll(/[\0/]/g, '_'))
    .filter((text) => text !== '.' && text !== '..'),
);
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
const target = fc.oneof(
  path,
  path.map((to) => `../${to}`),
  fc.constantFrom(
    '.',
    '..',
    '../..',
    '../outside/secret',
    '../../outside',
    '/etc/passwd',
    'a/../..',
    'a/../../outside',
    '/',
    '//',
  ),
);
const thing = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('file' as const),
      path,
      mode: fc.constantFrom(0o600, 0o644, 0o755, 0o700),
      body: fc.uint8Array({ maxLength: 1_200 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('link' as const), path, target }) },
);
type Thing = typeof thing extends fc.Arbitrary<infer T> ? T : never;

/** As much of the tree as can be made: later things may not fit to earlier ones. */
const build = (folder: string, things: readonly Thing[]): void => {
  for (const one of things) {
    const at = toBytes(`${fromText(folder)}/${one.path}`);
    try {
      mkdirSync(toBytes(`${fromText(folder)}/${dirname(one.path)}`), { recursive: true });
      // Never through a link of our own making.
      if (
        realpathSync(toBytes(dirname(at.toString('latin1'))), { encoding: 'latin1' as never }) !==
        dirname(at.toString('latin1'))
      )
        continue;
      if (one.kind === 'link') symlinkSync(toBytes(one.target), at);
      else {
        writeFileSync(at, one.body, { flag: 'wx' });
        chmodSync(at, one.mode);
      }
    } catch {
      // A file stands where a folder would be, or the other way round.
    }
  }
};

describe('packing and unpacking', () => {
  it('brings each of 1,000 generated trees back, but for links that lead out', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(thing, { maxLength: 8 }), async (things) => {
        const at = places();
        build(at.from, things);
        const before = treeOf(at.from);
        const leftOut = await pack(at.from, at.archive);
        await unpack(at.archive, at.from, at.to);
        const expected = new Map(
          [...before].filter(
            ([where, what]) => !what.startsWith('link ') || linkStaysInside(fromText(at.from), where, what.slice(5)),
          ),
        );
        const git = [...expected.keys()].some((where) => where.split('/')[0]?.toLowerCase() === '.git');
        expect(git).toBe(false);
        expect(treeOf(at.to)).toEqual(expected);
        expect(leftOut.length).toBe(before.size - expected.size);
        expect(treeOf(at.from)).toEqual(before);
        rmSync(at.top, { recursive: true });
      }),
      { numRuns: RUNS },
    );
  });

  it('writes nothing outside, whatever 1,000 generated archives say', { timeout: 120_000 }, async () => {
    const wild = fc.oneof(
      path,
      target,
      path.map((to) => `files/${to}`),
      target.map((to) => `files/${to}`),
      fc.constantFrom('files/.git/config', 'files/.GIT/hooks/x', 'files//a', 'files/a//b', 'files/./a', 'files/'),
    );
    const entry = fc.record({ name: wild, isLink: fc.boolean(), target, body: fc.uint8Array({ maxLength: 100 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 12 }), async (entries) => {
        const at = places();
        const writer = new ArchiveWriter(at.archive, LIMITS);
        for (const one of entries) {
          if (one.isLink) await writer.link(one.name, one.target);
          else await writer.bytes(one.name, Buffer.from(one.body));
        }
        await writer.finish();
        const before = [...treeOf(at.outside), ...treeOf(at.from)];
        await unpack(at.archive, at.from, at.to).catch((error: unknown) => {
          if (!isKnown(error)) throw error;
        });
        expect([...treeOf(at.outside), ...treeOf(at.from)]).toEqual(before);
        expect(readdirSync(at.top).sort()).toEqual(['archive', 'from', 'outside', 'to']);
        for (const [where, what] of treeOf(at.to)) {
          expect(isPlainPath(where)).toBe(true);
          if (what.startsWith('link ')) expect(linkStaysInside(fromText(at.to), where, what.slice(5))).toBe(true);
        }
        expect(readdirSync(at.to).some((one) => one.toLowerCase() === '.git')).toBe(false);
        rmSync(at.top, { recursive: true });
      }),
      { numRuns: RUNS },
    );
  });

  it('ends with an error, or as it should, after any byte was changed or lost', { timeout: 120_000 }, async () => {
    const at = places();
    build(at.from, [
      { kind: 'file', path: 'a/b', mode: 0o644, body: new Uint8Array(700) },
      { kind: 'link', path: 'a/l', target: 'b' },
      { kind: 'file', path: `${'p'.repeat(90)}/${'q'.repeat(90)}`, mode: 0o600, body: new Uint8Array(5) },
    ]);
    await pack(at.from, at.archive);
    const plain = gunzipSync(readFileSync(at.archive));
    await fc.assert(
      fc.asyncProperty(
        fc.nat(plain.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (where, change, isCut) => {
          const bytes = Buffer.from(isCut ? plain.subarray(0, where) : plain);
          if (!isCut) bytes.writeUInt8((bytes.readUInt8(where) ^ change) & 0xff, where);
          const own = places();
          writeFileSync(own.archive, gzipSync(bytes));
          await unpack(own.archive, own.from, own.to).catch((error: unknown) => {
            if (!isKnown(error)) throw error;
          });
          expect(readdirSync(own.top).sort()).toEqual(['archive', 'from', 'outside', 'to']);
          rmSync(own.top, { recursive: true });
        },
      ),
      { numRuns: 300 },
    );
    writeFileSync(at.archive, 'no gzip at all');
    await expect(unpack(at.archive, at.from, at.to)).rejects.toThrow();
  });

  it('waits for room without piling up listeners', async () => {
    const at = places();
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on('warning', onWarning);
    writeFileSync(join(at.from, 'noise'), crypto.getRandomValues(new Uint8Array(65_536)));
    const writer = new ArchiveWriter(at.archive, { maxBytes: 64 * MIB, maxUnpackedBytes: 64 * MIB });
    const noise = readFileSync(join(at.from, 'noise'));
    for (let round = 0; round < 300; round++) await writer.bytes(`noise-${round}`, noise);
    await writer.finish();
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
  });

  it('stops at its bounds, packed and unpacked', async () => {
    const at = places();
    writeFileSync(join(at.from, 'zeros'), Buffer.alloc(4 * MIB));
    const small = new ArchiveWriter(at.archive, { maxBytes: MIB, maxUnpackedBytes: 2 * MIB });
    await expect(addPath({ archive: small, root: fromText(at.from), leftOut: [], signal }, 'zeros')).rejects.toThrow(
      ArchiveTooLarge,
    );
    await small.discard();
    await pack(at.from, at.archive);
    const reading = readArchive(at.archive, { maxUnpackedBytes: MIB });
    await expect(collect(reading)).rejects.toThrow(TarDamaged);
  });
});

describe('a tree that changes while it is read', () => {
  const churn = async (script: string, workerData: object, rounds: () => Promise<void>): Promise<void> => {
    const worker = new Worker(
      `const fs = require('node:fs'); const { workerData: at } = require('node:worker_threads');
      for (let n = 0; ; n++) { try { ${script} } catch {} }`,
      { eval: true, workerData },
    );
    try {
      await rounds();
    } finally {
      await worker.terminate();
    }
  };

  it('never leads outside by a folder exchanged for a link', { timeout: 60_000 }, async () => {
    const at = places();
    mkdirSync(join(at.from, 'dir'));
    writeFileSync(join(at.from, 'dir/secret'), 'mine');
    symlinkSync(at.outside, join(at.top, 'link'));
    symlinkSync('secret', join(at.outside, 'inner'));
    const script = `
      fs.renameSync(at.from + '/dir', at.top + '/kept'); fs.renameSync(at.top + '/link', at.from + '/dir');
      fs.renameSync(at.from + '/dir', at.top + '/link'); fs.renameSync(at.top + '/kept', at.from + '/dir');`;
    let seen = 0;
    await churn(script, at, async () => {
      for (let round = 0; round < 400; round++) {
        const writer = new ArchiveWriter(at.archive, LIMITS);
        const adding = { archive: writer, root: fromText(at.from), leftOut: [], signal };
        await addFolder(adding, '');
        await addPath(adding, 'dir/secret');
        await addPath(adding, 'dir/inner');
        await writer.finish();
        const plain = gunzipSync(readFileSync(at.archive)).toString('latin1');
        expect(plain).not.toContain('CANARY');
        expect(plain).not.toContain('inner');
        seen += plain.includes('mine') ? 1 : 0;
      }
    });
    expect(seen).toBeGreaterThan(0);
  });

  it('gives a file as it was at one time, and never fails for one that shrinks, grows or goes', {
    timeout: 60_000,
  }, async () => {
    const at = places();
    for (const file of ['whole', 'torn']) writeFileSync(join(at.from, file), 'a'.repeat(90_000));
    const script = `
      const text = (n % 2 ? 'a' : 'b').repeat(30000 * (1 + n % 3));
      fs.writeFileSync(at.top + '/next', text); fs.renameSync(at.top + '/next', at.from + '/whole');
      fs.writeFileSync(at.from + '/torn', text); fs.truncateSync(at.from + '/torn', n % 500); fs.appendFileSync(at.from + '/torn', text);
      fs.writeFileSync(at.from + '/brief', ''); fs.rmSync(at.from + '/brief');`;
    await churn(script, at, async () => {
      for (let round = 0; round < 150; round++) {
        await pack(at.from, at.archive);
        for await (const entry of readArchive(at.archive, { maxUnpackedBytes: LIMITS.maxUnpackedBytes })) {
          if (entry.kind !== 'file' || entry.path !== 'files/whole') continue;
          const text = Buffer.concat(await collect(entry.body)).toString();
          expect(['a', 'b'].flatMap((one) => [1, 2, 3].map((times) => one.repeat(30_000 * times)))).toContain(text);
        }
      }
    });
    expect(existsSync(join(at.from, 'whole'))).toBe(true);
  });
});
