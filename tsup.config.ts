import { defineConfig } from 'tsup'

export default defineConfig({
  entry: { index: 'src/index.ts' },
  format: ['esm', 'cjs'],
  target: 'node20.19',
  dts: true,
  clean: true,
  sourcemap: true,
  // With splitting, tsup rewrites the CommonJS build to an old JavaScript, on the path of every event too.
  splitting: false,
  removeNodeProtocol: false,
})
