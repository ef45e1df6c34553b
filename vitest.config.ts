import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

// The suffix of a test file is its project. A file without a suffix is a unit test.
const SUFFIXES = ['net', 'broker', 'browser', 'long', 'proxy']

const project = (name: string, suffix: string) => ({
  extends: true as const,
  test: { name, include: [`test/**/*.${suffix}.test.ts`] },
})

export default defineConfig({
  test: {
    // Most tests wait for servers and browsers, so that each core has time for several workers.
    maxWorkers: Math.ceil(2.5 * availableParallelism()),
    // Real servers and browsers can hang. The timeout then names the test.
    testTimeout: 60_000,
    // A hook starts browsers, brokers and builds.
    hookTimeout: 60_000,
    // The default of 1 s is shorter than a busy machine may take.
    expect: { poll: { timeout: 30_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          // A thread starts faster than a process.
          pool: 'threads',
          include: ['test/**/*.test.ts'],
          exclude: ['**/node_modules/**', `test/**/*.{${SUFFIXES}}.test.ts`],
          setupFiles: ['test/support/no-network.ts'],
        },
      },
      project('net', 'net'),
      project('brokers', 'broker'),
      project('browsers', 'browser'),
      {
        extends: true,
        test: {
          name: 'long',
          include: ['test/**/*.long.test.ts'],
          // Node.js 20 has a `WebSocket` only with this. It controls Firefox.
          execArgv: ['--experimental-websocket'],
        },
      },
      project('proxies', 'proxy'),
    ],
  },
})
