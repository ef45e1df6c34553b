import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/support/longest-first.ts'
import { RepeatedTests } from './test/support/repeated-tests.ts'

// The suffix of a test file is its project. A file without a suffix is a unit test.
const SUFFIXES = ['static', 'property', 'bulk', 'heap', 'net', 'broker', 'browser', 'long', 'proxy']

const project = (name: string, suffix: string) => ({
  extends: true as const,
  test: { name, include: [`test/**/*.${suffix}.test.ts`] },
})

// Tests on fake transports. A thread starts faster than a process. The files share threads, as each of them takes
// longer to load than to run.
const ON_FAKES = {
  pool: 'threads' as const,
  isolate: false,
  setupFiles: ['test/support/no-network.ts', 'test/support/own-modules.ts', 'test/support/own-timers.ts'],
}

export default defineConfig({
  test: {
    // Most tests wait for servers and browsers, so that each core has time for several workers.
    maxWorkers: Math.ceil(2.5 * availableParallelism()),
    sequence: { sequencer: LongestFirst },
    reporters: ['default', new RepeatedTests()],
    // A machine of CI may stall for longer than a test permits. `npm run test:stress` finds such tests, and repeats
    // none.
    retry: process.env.CI ? 1 : 0,
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
          ...ON_FAKES,
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['**/node_modules/**', `test/**/*.{${SUFFIXES}}.test.ts`],
        },
      },
      {
        extends: true,
        // Not repeated, because another random case may pass.
        test: { ...ON_FAKES, name: 'properties', include: ['test/**/*.property.test.ts'], retry: 0 },
      },
      // Thousands of events or clients, so that work which grows with the square of their number is noticed.
      { extends: true, test: { ...ON_FAKES, name: 'bulk', include: ['test/**/*.bulk.test.ts'] } },
      // Tests that measure memory. A file has a process of its own, because other tests allocate too.
      project('heap', 'heap'),
      project('static', 'static'),
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
