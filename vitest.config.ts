import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Mostly they wait for servers and browsers: there is work for every core.
    maxWorkers: '100%',
    // Real servers and browsers: a hang must be named, not waited for.
    testTimeout: 60_000,
    // A hook starts browsers, brokers and builds.
    hookTimeout: 60_000,
    // The default of 1 s is shorter than a busy machine may take.
    expect: { poll: { timeout: 10_000 } },
  },
})
