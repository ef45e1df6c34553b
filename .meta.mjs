import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const r = await build({
  stdin: {
    contents: process.argv[2] ?? "export { createSseStream } from './dist/esm/index.js'",
    resolveDir: process.cwd(),
  },
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'node',
  write: false,
  metafile: true,
  outdir: '/tmp/x',
})
const o = Object.values(r.metafile.outputs)[0]
for (const [k, v] of Object.entries(o.inputs).sort((a, b) => b[1].bytesInOutput - a[1].bytesInOutput))
  console.log(v.bytesInOutput, k)
const text = r.outputFiles[0].contents
console.log(text.length, gzipSync(text, { level: 9 }).length)
;(await import('node:fs')).writeFileSync('/tmp/bundle.js', text)
