/** The diff with its language's colours; loaded apart, as highlighter and grammars are large. */
import { PatchDiff } from '@pierre/diffs/react';

const OPTIONS = {
  // The other engine is WebAssembly, which the page's policy does not allow.
  preferredHighlighter: 'shiki-js',
  diffStyle: 'unified',
  diffIndicators: 'classic',
  disableFileHeader: true,
  overflow: 'scroll',
  theme: { light: 'github-light', dark: 'github-dark' },
} as const;

/** The page's own choice of colours, which the library cannot see from inside its shadow tree. */
const themeType = (): 'light' | 'dark' | 'system' => {
  const { theme } = document.documentElement.dataset;
  return theme === 'light' || theme === 'dark' ? theme : 'system';
};

export const HighlightedDiff = ({ raw }: { raw: string }) => (
  <PatchDiff
    patch={raw}
    disableWorkerPool
    options={{ ...OPTIONS, themeType: themeType() }}
    className="block [--diffs-font-family:var(--font-mono)] [--diffs-font-size:12.5px]"
  />
);
