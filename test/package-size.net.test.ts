import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const { exports, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

// The size of each import in an application, minified and compressed, in bytes. A limit is close to the present size, so
// that an import which pulls in another part of the library fails here.
const LIMITS: ReadonlyArray<readonly [entry: string, names: string, limit: number]> = [
  ['spillway', '{ createSseStream }', 10_000],
  ['spillway', '{ createSseResponse }', 9_500],
  ['spillway', '{ createSseStream, Hub }', 13_500],
  ['spillway/express', '*', 10_200],
  ['spillway/fastify', '*', 11_000],
  ['spillway/koa', '*', 10_400],
  ['spillway/next', '*', 9_500],
  ['spillway/web', '*', 9_500],
  ['spillway/redis', '*', 9_200],
  ['spillway/nats', '*', 7_600],
  ['spillway/testing', '*', 5_400],
]

test.each(LIMITS)('%s: %s is at most %d bytes in a bundle', async (entry, names, limit) => {
  const { outputFiles } = await build({
    stdin: { contents: `export ${names} from '${entry}'`, resolveDir: root },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    external: Object.keys(peerDependencies),
    write: false,
  })
  const [bundle] = outputFiles.map(({ contents }) => gzipSync(contents, { level: 9 }).length)
  expect(bundle).toBeGreaterThan(limit * 0.8)
  expect(bundle).toBeLessThanOrEqual(limit)
})

test('every entry has a limit', () => {
  const entries = Object.keys(exports).filter((entry) => entry !== './package.json')
  const limited = new Set(LIMITS.map(([entry]) => entry))
  expect(entries.map((entry) => join('spillway', entry)).filter((entry) => !limited.has(entry))).toEqual([])
})
