import { defineConfig } from 'vitest/config';

/** Sizes of tests: unit is pure, contract runs one port against the real thing, integration starts the village. */
const project = (name: string, testTimeoutMs: number) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: testTimeoutMs,
    hookTimeout: 60_000,
    env: { AWS_EC2_METADATA_DISABLED: 'true', AWS_ENDPOINT_URL: 'http://127.0.0.1:9', NO_COLOR: '1' },
  },
});

export default defineConfig({
  test: {
    projects: [project('unit', 10_000), project('contract', 30_000), project('integration', 90_000)],
    maxWorkers: 2,
    coverage: {
      provider: 'v8',
      include: ['functions/**/*.ts', 'runner-image/src/**/*.ts', 'shared/**/*.ts'],
      reporter: ['text-summary', 'json-summary'],
      thresholds: { lines: 80, branches: 80 },
    },
  },
});
