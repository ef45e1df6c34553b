import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig, type Options } from 'tsup'

// `DIST` names another folder, so that a benchmark keeps its build while `dist` changes.
const dist = process.env.DIST ?? 'dist'

// One file for each source file. All entries then share one `SseStream`, a bundler drops the unused files, classes keep
// their names, and a stack trace names the source file.
const build = (format: 'esm' | 'cjs'): Options => ({
  entry: ['src/**/*.ts', '!src/client/**'],
  format,
  outDir: join(dist, format),
  outExtension: () => ({ js: '.js' }),
  target: 'es2023',
  bundle: false,
  splitting: false,
  removeNodeProtocol: false,
  // The folder of another build.
  clean: ['!client/**'],
  silent: true,
  // Names stay, because only white space and syntax are shortened. Short lines keep positions in a stack trace useful,
  // and so the line that Node prints for an error.
  esbuildOptions: (options) => {
    options.minifyWhitespace = true
    options.minifySyntax = true
    options.lineLimit = 500
  },
  plugins: [
    {
      // esbuild does not rewrite the specifiers of unbundled files.
      name: 'js-extensions',
      renderChunk: (code) => ({
        code: code.replace(/\b(from ?|import ?|import\(|require\()"(\.\.?\/[^"\n]+)\.ts"/g, '$1"$2.js"'),
      }),
    },
  ],
})

const cjs: Options = {
  ...build('cjs'),
  // Overrides the `"type": "module"` of the package for this folder.
  onSuccess: async () =>
    writeFileSync(join(dist, 'cjs', 'package.json'), '{ "type": "commonjs", "sideEffects": false }\n'),
}

// The properties whose names are shortened, in both files of the client alike. Not those of the DOM and of the public
// types, nor what is sent to other tabs, which may have loaded another build. What is stored has the same short names
// in all builds.
const INTERNAL = /^on[A-Z]|^(isNewEpoch|learn|paused|setBacklog|isPolling|isPadded|lacksPoll|epoch)$/
const STORED = { isPolling: 'p', isPadded: 'h', lacksPoll: 'n', epoch: 'e' }

// One file, because browsers load it, and another for shared connections, which it loads where they are used. Browsers
// since 2021 have the syntax. An older target replaces each private field by a `WeakMap`, which is half again as large.
const client = (format: 'esm' | 'cjs'): Options => ({
  entry: format === 'esm' ? ['src/client/index.ts', 'src/client/share.ts'] : ['src/client/index.ts'],
  format,
  outDir: join(dist, format, 'client'),
  outExtension: () => ({ js: '.js' }),
  target: 'es2022',
  platform: 'browser',
  bundle: true,
  splitting: format === 'esm',
  minify: true,
  esbuildOptions: (options) => {
    options.mangleProps = INTERNAL
    options.mangleCache = STORED
  },
  clean: true,
  silent: true,
})

export default defineConfig([build('esm'), cjs, client('esm'), client('cjs')])
