/** Patches as git writes them. */
import { describe, expect, it } from 'vitest';
import { parsePatch } from '../../../../web/src/session/patch.ts';

const PATCH = `diff --git a/src/a.ts b/src/a.ts
index 1..2 100644
--- a/src/a.ts
+++ b/src/a.ts
@@ -1,3 +1,3 @@ function a() {
 one
-two
+TWO
 three
\\ No newline at end of file
@@ -10 +10,2 @@
 ten
+--- not a header
diff --git a/gone.txt b/gone.txt
deleted file mode 100644
index 3..0
--- a/gone.txt
+++ /dev/null
@@ -1 +0,0 @@
-bye
diff --git a/image.png b/image.png
new file mode 100644
index 0..4
Binary files /dev/null and b/image.png differ
diff --git a/old name.txt b/new name.txt
similarity index 100%
rename from old name.txt
rename to new name.txt
diff --git "a/\\303\\251t\\303\\251.txt" "b/\\303\\251t\\303\\251.txt"
index 5..6 100644
--- "a/\\303\\251t\\303\\251.txt"
+++ "b/\\303\\251t\\303\\251.txt"
@@ -1 +1 @@
-x
+y
`;

describe('parsePatch', () => {
  const files = parsePatch(PATCH);

  it('finds every file under its name', () => {
    expect(files.map(({ path }) => path)).toEqual(['src/a.ts', 'gone.txt', 'image.png', 'new name.txt', 'été.txt']);
  });

  it('numbers lines of both sides', () => {
    expect(files[0]?.hunks[0]?.lines).toEqual([
      { kind: 'context', text: 'one', oldLine: 1, newLine: 1 },
      { kind: 'removed', text: 'two', oldLine: 2, newLine: null },
      { kind: 'added', text: 'TWO', oldLine: null, newLine: 2 },
      { kind: 'context', text: 'three', oldLine: 3, newLine: 3 },
      { kind: 'note', text: 'No newline at end of file', oldLine: null, newLine: null },
    ]);
    expect(files[0]?.hunks[0]?.header).toBe('function a() {');
  });

  it('does not take an added line for a header', () => {
    expect(files[0]?.hunks[1]?.lines[1]).toEqual({
      kind: 'added',
      text: '--- not a header',
      oldLine: null,
      newLine: 11,
    });
  });

  it('tells of binaries and renames', () => {
    expect(files[2]?.notes).toContain('Binary files /dev/null and b/image.png differ');
    expect(files[3]?.notes).toEqual(['rename from old name.txt', 'rename to new name.txt']);
  });

  it('makes nothing of nothing', () => {
    expect(parsePatch('')).toEqual([]);
  });
});
