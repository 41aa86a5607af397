/** How a Lambda entry becomes one file; the test that builds every entry uses the same settings. */

/** Lambda's Node version. */
export const BUNDLE_TARGET = 'node24';
/** Some packages in the bundle are CommonJS and call `require` for Node's own modules, which an ES module does not have. */
export const BUNDLE_BANNER =
  "import { createRequire as villageCreateRequire } from 'node:module'; const require = villageCreateRequire(import.meta.url);";
