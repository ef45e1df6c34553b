import { setTimeout as pause } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { Hub } from '../../src/hub/hub.ts'
import { startProgram } from '../support/child-program.ts'
import { get } from '../support/client.ts'
import { serve } from '../support/serve.ts'

const HEARTBEAT = 300
const STALL_TIMEOUT = 1_000
// Longer than all timeouts of the test.
const STOPPED = 3_500

it('a server of quiet streams that is stopped and continued closes none whose client reads', async () => {
  const { child, lines } = startProgram(`
    import http from 'node:http'
    import http2 from 'node:http2'
    import { createSseStream, Hub } from 'spillway'
    const channel = new Hub().channel('a')
    const handler = (request, response) => {
      const stream = createSseStream(request, response, { heartbeat: ${HEARTBEAT}, stallTimeout: ${STALL_TIMEOUT} })
      stream.on('close', (reason) => console.log('closed', reason))
      channel.subscribe(stream)
    }
    for (const server of [http.createServer(handler), http2.createServer(handler)])
      server.listen(0, '127.0.0.1', () => console.log('port', server.address().port))
    process.on('SIGUSR2', () => channel.publish({ data: 'again' }))`)
  await expect.poll(() => lines.length).toBe(2)
  const ports = lines.map((line) => Number(line.split(' ')[1]))
  const clients = await Promise.all([get('http', ports[0] as number), get('h2c', ports[1] as number)])
  for (const client of clients) await client.until((body) => (body.match(/^:$/gm)?.length ?? 0) > 1)
  child.kill('SIGSTOP')
  await pause(STOPPED)
  child.kill('SIGCONT')
  // Two heartbeats show that the deadlines of the time before are over.
  for (const client of clients) {
    const before = client.body.match(/^:$/gm)?.length ?? 0
    await client.until((body) => (body.match(/^:$/gm)?.length ?? 0) > before + 4)
  }
  child.kill('SIGUSR2')
  for (const client of clients) await client.until('data: again\n\n')
  expect(lines.slice(2)).toEqual([])
})

it('a client that is stopped and continued receives all events once, although its stream was closed', async () => {
  const hub = new Hub()
  const channel = hub.channel('a')
  const reasons: string[] = []
  let opened = 0
  const { url } = await serve((req, res) => {
    const stream = createSseStream(req, res, { heartbeat: HEARTBEAT, stallTimeout: STALL_TIMEOUT, retry: 10 })
    stream.on('close', (reason) => reasons.push(reason))
    opened += 1
    channel.subscribe(stream)
  })
  const { child, lines } = startProgram(
    `import { connect } from 'spillway/client'
     const source = connect(process.env.URL)
     source.addEventListener('message', ({ data }) => console.log(data.slice(0, 4).trim()))`,
    { URL: url },
  )
  await expect.poll(() => opened).toBe(1)
  await channel.publish({ data: '1' })
  await expect.poll(() => lines).toEqual(['1'])
  child.kill('SIGSTOP')
  const count = 200
  // More than the kernel buffers, so that the client stalls.
  for (let n = 2; n <= count; n++) await channel.publish({ data: `${n}`.padEnd(50_000) })
  await expect.poll(() => reasons.length).toBe(1)
  expect(reasons[0]).toMatch(/^(stalled|overflow)$/)
  child.kill('SIGCONT')
  await expect.poll(() => lines.length).toBeGreaterThanOrEqual(count)
  expect(lines).toEqual(Array.from({ length: count }, (_, at) => `${at + 1}`))
})
