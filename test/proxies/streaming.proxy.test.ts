import { expect, it } from 'vitest'
import { describeBehind } from '../support/proxies/describe-behind.ts'
import { measureLatency } from '../support/proxies/latency.ts'
import { ServedBehindProxy } from '../support/proxies/served-behind-proxy.ts'
import { STREAMING } from '../support/proxies/setups.ts'
import { closed } from '../support/streams.ts'

// No server of a test sends an event before the client has received the one before it. So a proxy that holds an event
// until the next one, or until the end, fails its test by the timeout of the test.

describeBehind(STREAMING, 'a stream', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it('passes the response headers and the first bytes on before there is an event', async () => {
    const { client } = await proxy.open()
    expect(client.status).toBe(200)
    expect(client.headers['content-type']).toBe('text/event-stream; charset=utf-8')
    await client.until('retry: ')
  })

  it('passes each event on before the next one, within 100 ms in the median', async () => {
    const { client, stream } = await proxy.open()
    const { median, slowest } = await measureLatency(stream, client)
    console.log(`${setup.name}: median ${median.toFixed(1)} ms, slowest ${slowest.toFixed(1)} ms`)
  })

  it.runIf(setup.protocol === 'http')(
    'passes each event on before the next one to a client that accepts compression',
    async () => {
      const { path, opened } = proxy.routeStreams()
      const { client, encoding } = await proxy.getCompressed(path)
      const stream = await opened
      expect(encoding).toBe(setup.compresses ? 'gzip' : null)
      for (let event = 0; event < 3; event++) {
        stream.send({ data: `event ${event}` })
        await client.until(`data: event ${event}\n\n`)
      }
    },
  )

  it.each([9_000, 70_000, 400_000])('holds no part of an event of %i bytes', async (size) => {
    const { client, stream } = await proxy.open()
    for (const letter of ['a', 'b']) {
      stream.send({ data: letter.repeat(size) })
      await client.until(`${letter}\n\n`)
    }
    expect(client.length).toBeGreaterThan(2 * size)
  })

  it('passes a stream of its own on to each client of the same path', async () => {
    let clients = 0
    const { path } = proxy.routeStreams({}, (stream) => {
      clients += 1
      stream.send({ data: `for client ${clients}` })
    })
    const first = await proxy.get(path)
    await first.until('for client 1\n\n')
    const second = await proxy.get(path)
    await second.until('for client 2\n\n')
    expect(second.body).not.toContain('for client 1')
  })

  it('closes a stream with heartbeats when its client disconnects', async () => {
    const { client, stream } = await proxy.open({ heartbeat: 200 })
    await client.until('retry: ')
    const end = closed(stream)
    client.disconnect()
    expect(await end).toMatchObject({ reason: 'client' })
  })

  it('ends the body when the server closes the stream', async () => {
    const { client, stream } = await proxy.open()
    stream.send({ data: 'last' })
    stream.close({ retry: 1_000 })
    expect(await client.ended).toBe('end')
    expect(client.body).toMatch(/data: last\n\nretry: \d+\n$/)
  })

  it(`${setup.hidesCuts ? 'ends' : 'cuts'} the body when the server cuts the stream`, async () => {
    const { client, stream } = await proxy.open()
    stream.send({ data: 'last' })
    await client.until('data: last\n\n')
    stream.destroy()
    expect(await client.ended).toBe(setup.hidesCuts ? 'end' : 'cut')
  })
})
