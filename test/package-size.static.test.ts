import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const { exports, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

// The size of each import in an application, minified and compressed, in bytes. A limit is close to the present size,
// so that an import which pulls in another part of the library fails here.
const LIMITS: ReadonlyArray<readonly [entry: string, names: string, limit: number]> = [
  ['spillway', '{ createSseStream }', 21_600],
  ['spillway', '{ createSseResponse }', 21_650],
  ['spillway', '{ createSseStream, Hub }', 36_250],
  ['spillway', '{ parseEvents }', 3_420],
  ['spillway/express', '*', 23_900],
  ['spillway/fastify', '*', 25_300],
  ['spillway/koa', '*', 24_100],
  ['spillway/next', '*', 22_950],
  ['spillway/web', '*', 22_950],
  ['spillway/redis', '*', 29_700],
  ['spillway/nats', '*', 24_650],
  ['spillway/client', '*', 4_300],
  ['spillway/opentelemetry', '*', 4_550],
  ['spillway/prometheus', '*', 3_850],
  ['spillway/testing', '*', 6_300],
  ['spillway/testing/store-contract', '*', 3_550],
  ['spillway/doctor', '*', 24_300],
]

test.each(LIMITS)('%s: %s is at most %d bytes in a bundle', async (entry, names, limit) => {
  const { outputFiles } = await build({
    stdin: { contents: `export ${names} from '${entry}'`, resolveDir: root },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    external: Object.keys(peerDependencies),
    // A dynamic import is loaded only where it is used.
    splitting: true,
    outdir: root,
    write: false,
  })
  const [bundle] = outputFiles
    .filter(({ path }) => path.endsWith('stdin.js'))
    .map(({ contents }) => gzipSync(contents, { level: 9 }).length)
  expect(bundle).toBeGreaterThan(limit * 0.8)
  expect(bundle).toBeLessThanOrEqual(limit)
})

// A bundler drops it where `parseEvents` is not used.
test.each(['{ createSseStream, Hub }', '{ parseEvents }'])(
  '%s contains the dependency only if it is used',
  async (names) => {
    const { metafile } = await build({
      stdin: { contents: `export ${names} from 'spillway'`, resolveDir: root },
      bundle: true,
      format: 'esm',
      platform: 'node',
      metafile: true,
      write: false,
    })
    const [output] = Object.values(metafile.outputs)
    const used = Object.entries(output?.inputs ?? {}).filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    const isUsed = used.some(([name]) => name.includes('eventsource-parser'))
    expect([names, isUsed]).toEqual([names, names.includes('parseEvents')])
  },
)

test('every entry has a limit', () => {
  const entries = Object.keys(exports).filter((entry) => !entry.endsWith('.json'))
  const limited = new Set(LIMITS.map(([entry]) => entry))
  expect(entries.map((entry) => join('spillway', entry)).filter((entry) => !limited.has(entry))).toEqual([])
})
