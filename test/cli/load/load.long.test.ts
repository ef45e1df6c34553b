import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { startLoad } from './run-load.ts'
import { events, listen, openStream, serveScript } from './scripted-server.ts'

test('an event that some streams lack five seconds after the end counts as lost', async () => {
  // The odd streams have the numbers up to 5. The others are open, and would receive them in five seconds.
  let opened = 0
  let held = 0
  const url = await listen((request, response) => {
    openStream(response)
    const isReconnected = request.headers['last-event-id'] !== undefined
    if (isReconnected && ++held === 20) load.interrupt()
    if (isReconnected || opened++ === 0) return
    response.end(events(...(opened % 2 === 1 ? [1, 2, 3, 4, 5, 'a'] : [1, 2, 'a'])))
  })
  const load = startLoad(url, '--streams', '20', '--sequence-field', 'n')
  expect((await load.report()).sequence).toEqual({ lost: 30, lostInGaps: 0, duplicates: 0, outOfOrder: 0 })
})

test('a stream reads slowly if it is one of the slow ones', async () => {
  // More than the buffers of both sockets, so that the server notices a client that does not read.
  const chunk = `data: ${'x'.repeat(1e6)}\n\n`
  let complete = 0
  let requests = 0
  const url = await listen((_, response) => {
    openStream(response)
    if (requests++ === 0) return
    let sent = 0
    const write = () => {
      while (sent < 20) {
        sent += 1
        if (!response.write(chunk)) return
      }
      complete += 1
      if (complete === 3) load.interrupt()
    }
    response.on('drain', write)
    write()
  })
  const load = startLoad(url, '--streams', '4', '--slow', '25%', '--slow-rate', '1kB/s')
  await load.report()
  expect(complete).toBe(3)
})

test('a run publishes probes with a command', async () => {
  const streams = new Set<ServerResponse>()
  const url = await listen((request, response) => {
    if (!request.url?.startsWith('/publish')) {
      openStream(response)
      streams.add(response)
      return
    }
    for (const stream of streams) stream.write(`data: ${request.url}\n\n`)
    response.end()
    if (++published === 3) load.interrupt()
  })
  let published = 0
  const script = `fetch('${url}/publish/' + process.env.SPILLWAY_PROBE)`
  const command = `'${process.execPath}' -e "${script}"`
  const load = startLoad(url, '--streams', '2', '--publish-command', command, '--publish-rate', '100/s')
  const { probes, sequence, delays } = await load.report()
  expect(probes).toMatchObject({ failed: 0, failure: null })
  expect(probes?.published).toBeGreaterThanOrEqual(3)
  expect({ sequence, source: delays.source }).toMatchObject({ sequence: { lost: 0 }, source: 'probe' })
})

test('the delay of a probe counts from when it was due', async () => {
  const streams = new Set<ServerResponse>()
  const url = await listen(async (request, response) => {
    if (request.method !== 'POST') {
      openStream(response)
      streams.add(response)
      return
    }
    let body = ''
    for await (const chunk of request) body += chunk
    // The next probe is published only after the response, and so is later than due, by more each time.
    setTimeout(() => {
      for (const stream of streams) stream.write(`data: ${body}\n\n`)
      response.end()
    }, 200)
  })
  const load = startLoad(url, '--streams', '3', '--publish-url', '/', '--publish-rate', '10/s')
  // The progress shows the delay as soon as an event was measured that is newer than its stream.
  await load.progress(/delay p50/)
  load.interrupt()
  const { delays, probes, refusal } = await load.report()
  expect(refusal).toBeNull()
  // Timers of both processes are cut to whole ms.
  expect(delays.live?.min).toBeGreaterThanOrEqual(198)
  // With the time of its own request only, a probe would take about 200 ms at most in the middle.
  expect(delays.live?.max).toBeGreaterThan(1000)
  expect(probes?.lateness?.max).toBeGreaterThan(800)
})

test('a run with several workers reports each figure and loses no event', async () => {
  const server = await serveScript({ '': events(1, 2, 3, 'a'), a: events(4, 'b') })
  const load = startLoad(
    server.url,
    '--streams',
    '2000',
    '--workers',
    '2',
    '--sequence-field',
    'n',
    '--rate',
    '1000/s',
  )
  await server.held(2000)
  load.interrupt()
  const { sequence, resumes, workers, streams } = await load.report()
  expect(sequence).toEqual({ lost: 0, lostInGaps: 0, duplicates: 0, outOfOrder: 0 })
  expect(resumes).toMatchObject({ exact: 2000, silent: 0 })
  expect({ workers: workers.length, opened: streams.opened }).toEqual({ workers: 2, opened: 2000 })
})
