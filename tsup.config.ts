import { defineConfig } from 'tsup'

export default defineConfig({
  entry: { index: 'src/index.ts' },
  format: ['esm', 'cjs'],
  target: 'node20.19',
  dts: true,
  clean: true,
  sourcemap: true,
  // One copy of `SseStream` for all entries, in CommonJS too.
  splitting: true,
})
