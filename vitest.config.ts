import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: [],
    // Real servers and browsers: a hang must be named, not waited for.
    testTimeout: 20_000,
    typecheck: { enabled: false },
  },
})
