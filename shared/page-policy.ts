/** What the page may load and run: one Content-Security-Policy for the edge, the local gateway and the built page itself. */

const DIRECTIVES = [
  "default-src 'none'",
  /**
   * Of our own files only, and no text as code. The terminal of the player of recordings is WebAssembly that runs in the page, also in
   * the player's worker build; a policy is that of a document, and the page is one document whichever view it was opened at. It lets no
   * foreign byte in that a script of ours does not hand over. The player itself is loaded with its tab.
   */
  "script-src 'self' 'wasm-unsafe-eval'",
  /** xterm.js, the canvas and the player set styles on elements. */
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self'",
  "font-src 'self'",
  "manifest-src 'self'",
  "worker-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
];

/** @param connect where the page may call besides its own origin: the sockets, and the store of presigned addresses */
export const pagePolicy = (connect: readonly string[]): string =>
  [...DIRECTIVES, ["connect-src 'self'", ...connect].join(' ')].join('; ');

/** As a header; in a page's own element browsers do not know `frame-ancestors`. */
export const pagePolicyHeader = (connect: readonly string[]): string =>
  `${pagePolicy(connect)}; frame-ancestors 'none'`;
