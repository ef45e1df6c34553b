import { expect, it } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { describeBehind } from '../support/proxies/describe-behind.ts'
import { ServedBehindProxy } from '../support/proxies/served-behind-proxy.ts'
import { BUFFERING, COMPRESSING, DELAYING, STREAMING } from '../support/proxies/setups.ts'

const SETUPS = [...STREAMING, ...BUFFERING, DELAYING, ...COMPRESSING]
const FORMATS = ['event-stream', 'json'] as const
const HEADERS = { accept: 'application/json' }
// The server compresses only the longer one.
const LENGTHS = [10, 100_000]

/**
 * Publishes an event with so many characters. Returns the path of a page that contains it, and the text of the page.
 */
async function publishPage(proxy: ServedBehindProxy, length: number) {
  const news = new Hub().channel('news')
  const cursor = await news.publish({ data: 'before' })
  const data = 'é'.repeat(length)
  const id = await news.publish({ data })
  const { path } = proxy.routeStreams({ formats: FORMATS }, (stream) => news.subscribe(stream))
  const page = { events: [{ event: 'message', id, data }], lastEventId: id, retry: 0 }
  return { path: `${path}?format=json&lastEventId=${cursor}`, page: `${JSON.stringify(page)}\n` }
}

// The body of a client ends with `cut` if it is shorter than its Content-Length, or if its gzip has no end.
describeBehind(SETUPS, 'a page of a long poll', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it.each(LENGTHS)('is complete and has its Content-Length, with %i characters', async (length) => {
    const { path, page } = await publishPage(proxy, length)
    const client = await proxy.get(path, { headers: HEADERS })
    expect([client.status, await client.ended]).toEqual([200, 'end'])
    expect(client.body).toBe(page)
    // varnish requests gzip. It may send a body in chunks that it decompresses.
    const isChunked = setup.name.startsWith('varnish') && client.headers['transfer-encoding'] === 'chunked'
    if (!isChunked) expect(client.headers['content-length']).toBe(`${Buffer.byteLength(page)}`)
  })

  it.each(LENGTHS)('is complete if the client accepts gzip, with %i characters', async (length) => {
    const { path, page } = await publishPage(proxy, length)
    const client = await proxy.get(path, { headers: { ...HEADERS, 'accept-encoding': 'gzip' } })
    expect([client.status, await client.ended]).toEqual([200, 'end'])
    expect(client.body).toBe(page)
    const isCompressed = length === 100_000 || COMPRESSING.some(({ name }) => name === setup.name)
    if (isCompressed) expect(client.headers['content-encoding']).toBe('gzip')
  })

  it('may be refused by 204 and 406, and the list of formats arrives', async () => {
    const path = proxy.route((_request, response) => response.writeHead(204).end())
    const done = await proxy.get(path, { headers: HEADERS })
    expect([done.status, await done.ended, done.body]).toEqual([204, 'end', ''])
    const formats = proxy.routeStreams({ formats: FORMATS })
    const refused = await proxy.get(`${formats.path}?format=xml`)
    expect([refused.status, await refused.ended]).toEqual([406, 'end'])
    expect(refused.body).toContain('application/json')
  })
})
