/** Builds the page into web/dist; `vite --config web/vite.config.ts` serves it against a running village instead. */
import { fileURLToPath } from 'node:url';
import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';
import { pagePolicy } from '../shared/page-policy.ts';

/** Transcripts are read from presigned addresses of another origin (S3, or its stand-in on the loopback). */
const CONNECT = ['https:', 'wss:', 'http://127.0.0.1:*', 'http://localhost:*', 'ws://127.0.0.1:*', 'ws://localhost:*'];

/** Only in the build: the development server needs an inline script for hot reload. */
const contentSecurityPolicy: Plugin = {
  name: 'village-content-security-policy',
  apply: 'build',
  transformIndexHtml: () => [
    {
      tag: 'meta',
      attrs: { 'http-equiv': 'Content-Security-Policy', content: pagePolicy(CONNECT) },
      injectTo: 'head-prepend',
    },
  ],
};

const villageUrl = process.env.VILLAGE_URL ?? 'http://127.0.0.1:4310';

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  plugins: [react(), tailwindcss(), contentSecurityPolicy],
  build: { outDir: 'dist', emptyOutDir: true, target: 'es2023', assetsInlineLimit: 0, chunkSizeWarningLimit: 700 },
  server: {
    host: '127.0.0.1',
    proxy: { '/api': villageUrl, '/ws': { target: villageUrl, ws: true } },
  },
});
