import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { blocksOf, pageOf, root } from '../docs/pages.ts'
import { toJavaScript } from '../docs/type-check.ts'

const blocks = blocksOf({ name: 'docs/metrics.md', text: pageOf('docs/metrics.md') })

/** Returns the code of the block of docs/metrics.md that contains a text. */
function recipeWith(text: string): string {
  const { code = '', language } = blocks.find((block) => block.code.includes(text)) ?? {}
  return language === 'ts' ? toJavaScript(code) : code
}

/** Runs a recipe and then a program in a process of its own. Resolves with the JSON lines that it prints. */
async function linesOf(recipe: string, program: string): Promise<Array<Record<string, unknown>>> {
  const args = ['--input-type=module', '--eval', `${recipe}\n${program}`]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, timeout: 30_000 })
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

// Serves a stream at `/events`, and everything else with an empty response. Requests each path once.
const REQUEST_BOTH = `
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { sse } from 'spillway'

const { createServer } = createRequire(process.cwd() + '/')('node:http')
const stream = sse((stream) => void stream.send({ data: 1 }), { authorize: () => ({ context: { userId: 'ada' } }) })
const handler = (request, response) =>
  request.url.startsWith('/events') ? stream(request, response) : response.end()
const measured = (request, response) => {
  globalThis.measureRequest?.(request, response)
  return handler(request, response)
}
const server = createServer(measured).listen(0, '127.0.0.1')
await once(server, 'listening')

async function request(path) {
  const controller = new AbortController()
  const closed = new Promise((resolve) =>
    server.once('request', (_, response) => response.once('close', resolve)))
  const headers = { 'user-agent': 'test', 'x-forwarded-for': '192.0.2.1', accept: path === '/' ? '*/*' : 'text/event-stream' }
  const response = await fetch('http://127.0.0.1:' + server.address().port + path, { headers, signal: controller.signal })
  if (path === '/') await response.text()
  else for await (const bytes of response.body) if (String(Buffer.from(bytes)).includes('data')) break
  controller.abort()
  await closed
}

await request('/')
await request('/events?lastEventId=7&token=secret')
`

it('logs one line at the open and one at the close of a stream with pino', async () => {
  const [open, close, ...others] = await linesOf(
    recipeWith("from 'pino'"),
    `import { channel } from 'node:diagnostics_channel'
     const ended = new Promise((resolve) => channel('spillway:stream:close').subscribe(() => setImmediate(resolve)))
     ${REQUEST_BOTH}
     await ended
     server.close().closeAllConnections()`,
  )

  const client = {
    ...{ route: '/events', format: 'event-stream', lastEventId: '7', address: '127.0.0.1' },
    ...{ userAgent: 'test', proxies: { 'x-forwarded-for': '192.0.2.1' }, context: { userId: 'ada' } },
  }
  expect(open).toMatchObject({ ...client, event: 'sse_connect', msg: 'stream opened' })
  expect(close).toMatchObject({
    ...{ ...client, event: 'sse_disconnect', msg: 'stream closed' },
    ...{ reason: 'client', events: 1, lagMs: 0 },
    ...{ durationMs: expect.any(Number), bytes: expect.any(Number) },
  })
  expect(JSON.stringify([open, close])).not.toContain('secret')
  expect(others).toEqual([])
})

const REPORT_OPENTELEMETRY = `
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const reader = new PeriodicExportingMetricReader({ exporter })
instrumentation.setMeterProvider(new MeterProvider({ readers: [reader] }))
${REQUEST_BOTH}
await reader.forceFlush()
const metrics = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
const points = metrics.filter(({ descriptor }) => descriptor.name.startsWith('http.server')).flatMap(({ dataPoints }) => dataPoints)
console.log(JSON.stringify({ count: points.reduce((sum, { value }) => sum + value.count, 0) }))
process.exit()
`

it('keeps streams out of the durations of requests of OpenTelemetry', async () => {
  const recipe = recipeWith('HttpInstrumentation')
  expect(await linesOf(recipe, REPORT_OPENTELEMETRY)).toEqual([{ count: 1 }])
  // Both requests, without the hook.
  const without = recipe.replace('ignoreIncomingRequestHook', 'unused')
  expect(await linesOf(without, REPORT_OPENTELEMETRY)).toEqual([{ count: 2 }])
})

it('keeps streams out of a histogram of prom-client', async () => {
  const report = `
    globalThis.measureRequest = measure
    ${REQUEST_BOTH}
    const { values } = await duration.get()
    const counts = values.filter(({ metricName }) => metricName?.endsWith('_count'))
    console.log(JSON.stringify(counts.map(({ labels, value }) => ({ ...labels, value }))))
    process.exit()`
  expect(await linesOf(recipeWith("from 'prom-client'\nimport type"), report)).toEqual([
    [{ method: 'GET', status: 200, value: 1 }],
  ])
})
