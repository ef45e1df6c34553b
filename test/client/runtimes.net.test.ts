import { execFile } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { findRuntime } from '../adapters/runtimes/runtime.ts'
import { startEventServer } from '../support/event-server.ts'
import { startHoldingProxy } from '../support/holding-proxy.ts'

const run = promisify(execFile)
const client = join(import.meta.dirname, '../../dist/esm/client/index.js')
const program = join(tmpdir(), `spillway-client-${process.pid}.mjs`)

// Reads two events of each URL, and prints them with the transport.
writeFileSync(
  program,
  `const { connect } = await import(${JSON.stringify(client)})
   for (const url of process.argv.slice(2)) {
     const source = connect(url, { lastEventId: 'run-0' })
     const lines = []
     source.addEventListener('transport', ({ transport, reason }) => lines.push(transport + ' ' + reason))
     for await (const { event, id, data } of source) {
       lines.push([event, id, data.value].join(' '))
       if (lines.length === 3) break
     }
     console.log(lines.join('\\n'))
   }`,
)

afterAll(() => rmSync(program))

const bun = findRuntime('bun')
const deno = findRuntime('deno')

test.each([
  ['Node.js', process.execPath, []],
  ['Bun', bun, []],
  ['Deno', deno, ['run', '--allow-net', '--allow-read', '--allow-env']],
] as const)('the built client reads a stream and falls back on %s', async (_, runtime, options) => {
  // The lack of a runtime has been reported, and fails on CI.
  if (!runtime) return
  const server = await startEventServer()
  server.publish('{"value":1}')
  server.publish('{"value":2}')
  const proxy = await startHoldingProxy(server.port, () => 'headers')
  const timer = setInterval(() => server.publish('{"value":3}'), 100)
  onTestFinished(() => clearInterval(timer))
  const { stdout } = await run(runtime, [...options, program, `${server.url}/a`, `${proxy.url}/b`])
  expect(stdout.trim().split('\n')).toEqual([
    'event-stream undefined',
    'message run-1 1',
    'message run-2 2',
    'json no-headers',
    'message run-1 1',
    'message run-2 2',
  ])
})
