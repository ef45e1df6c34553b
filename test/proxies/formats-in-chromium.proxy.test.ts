import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { describeBehind } from '../support/proxies/describe-behind.ts'
import { ServedBehindProxy } from '../support/proxies/served-behind-proxy.ts'
import { BUFFERING, DELAYING, IN_BROWSERS } from '../support/proxies/setups.ts'

describe.runIf(hasChromium)('in Chromium', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  /** Opens a page of the origin of a proxy. */
  async function open(proxy: ServedBehindProxy): Promise<Page> {
    const context = await browser.newContext({ ignoreHTTPSErrors: true })
    onTestFinished(() => context.close())
    const page = await context.newPage()
    await page.goto(proxy.url('/'))
    return page
  }

  describeBehind([...IN_BROWSERS, DELAYING, ...BUFFERING], 'a long poll', (setup) => {
    const proxy = new ServedBehindProxy(setup)

    it('is held until there is an event, and continues after its cursor', async () => {
      const hub = new Hub()
      const news = hub.channel('news')
      const cursor = await news.publish({ data: 'before' })
      const { path, subscribed } = proxy.routeNews(hub)
      const page = await open(proxy)
      const held = page.evaluate(poll, `${path}?format=json&lastEventId=${cursor}`)
      await subscribed
      const id = await news.publish({ data: 'live' })
      expect(await held).toEqual({
        events: [{ event: 'message', id, data: 'live' }],
        lastEventId: id,
        retry: 0,
      })
      const data = 'é'.repeat(100_000)
      const last = await news.publish({ data })
      expect(await page.evaluate(poll, `${path}?format=json&lastEventId=${id}`)).toEqual({
        events: [{ event: 'message', id: last, data }],
        lastEventId: last,
        retry: 0,
      })
    })
  })

  describeBehind([...IN_BROWSERS, DELAYING], 'NDJSON', (setup) => {
    const proxy = new ServedBehindProxy(setup)

    it('delivers each event before the next one, also a large one', async () => {
      const hub = new Hub()
      const { path } = proxy.routeNews(hub)
      const page = await open(proxy)
      await page.evaluate(readLines, `${path}?format=ndjson`)
      for (const length of [1, 9_000, 70_000]) {
        const data = 'é'.repeat(length)
        const id = await hub.channel('news').publish({ data })
        const line = JSON.stringify({ event: 'message', id, data })
        await page.waitForFunction((text) => window.lines.includes(text), line)
      }
    })
  })
})

// The globals of the page that the functions below use.
declare const window: { lines: string[] }

async function poll(url: string): Promise<unknown> {
  const response = await fetch(url, { headers: { accept: 'application/json' } })
  return response.json()
}

/** Collects the lines of a body. Resolves when the response headers have arrived. */
async function readLines(url: string): Promise<void> {
  const { body } = await fetch(url)
  const decoder = new TextDecoder()
  window.lines = []
  const read = async () => {
    let rest = ''
    // Chromium cannot iterate over a body in every version.
    const reader = body?.getReader()
    for (;;) {
      const { done = true, value } = (await reader?.read()) ?? {}
      if (done) return
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      window.lines.push(...lines)
    }
  }
  void read()
}
