import { expect, it, onTestFinished } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { Hub } from '../../src/hub/hub.ts'
import { PollCrowd } from '../../support/poll-crowd.js'
import { describeBehind } from '../support/proxies/describe-behind.ts'
import { ServedBehindProxy } from '../support/proxies/served-behind-proxy.ts'
import { CACHING } from '../support/proxies/setups.ts'

// nginx counts the requests that wait for a page in 10 bits.
const CLIENTS = 2_500
const PAGES = 4
const PAGE_SIZE = 100

describeBehind(CACHING, 'a public channel', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it(`requests each full page once for ${CLIENTS} clients that reconnect at once`, async () => {
    const news = new Hub().channel('news', { cache: 'public' })
    const ids: string[] = []
    for (let event = 0; event <= PAGES * PAGE_SIZE; event++) ids.push(await news.publish({ data: event }))
    const requests: string[] = []
    const path = proxy.route((request, response) => {
      requests.push(new URL(request.url ?? '', 'http://localhost').searchParams.get('lastEventId') ?? '')
      const longPoll = { pageSize: PAGE_SIZE }
      news.subscribe(createSseStream(request, response, { formats: ['event-stream', 'json'], longPoll }))
    })
    const crowd = new PollCrowd()
    onTestFinished(() => crowd.close())
    await crowd.open(proxy.port, CLIENTS)
    const { events } = await crowd.catchUp(path, ids[0] ?? '', ids.at(-1) ?? '')
    expect(events.length).toBe(CLIENTS)
    expect(new Set(events)).toEqual(new Set([PAGES * PAGE_SIZE]))
    expect(requests).toEqual(ids.filter((_, i) => i % PAGE_SIZE === 0).slice(0, PAGES))
  })
})
