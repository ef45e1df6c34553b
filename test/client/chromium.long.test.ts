import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { describe, expect, onTestFinished, test } from 'vitest'
import { hasChromium, useChromium } from '../support/chromium.ts'
import { startEventServer } from '../support/event-server.ts'
import { type Hold, startHoldingProxy } from '../support/holding-proxy.ts'

const fileOf = (name: string) =>
  readFileSync(join(import.meta.dirname, '../../dist/esm/client', name), 'utf8')
const script = `
  import { connect } from '/client.js'
  window.received = []
  window.transports = []
  window.source = connect('/events', { share: location.hash === '#share', persist: location.hash === '#persist' })
  source.onmessage = ({ data, origin }) => received.push(data)
  source.addEventListener('transport', ({ transport, reason }) => transports.push(transport + ' ' + reason))
`
const files = {
  '/': { type: 'text/html', body: `<!doctype html><script type="module">${script}</script>` },
  '/client.js': { type: 'text/javascript', body: fileOf('index.js') },
  '/share.js': { type: 'text/javascript', body: fileOf('share.js') },
  '/favicon.ico': { type: 'image/png', body: '' },
}

// The globals of the page.
declare const received: string[]
declare const transports: string[]
declare function open(url: string, target: string): void

const receivedBy = (page: Page) => page.evaluate(() => received)
const transportsOf = (page: Page) => page.evaluate(() => transports)

describe.skipIf(!hasChromium)('the built client in Chromium', () => {
  const chromium = useChromium()

  async function start(hold: Hold = 'none') {
    const server = await startEventServer({ files })
    const proxy = await startHoldingProxy(server.port, () => hold)
    const timer = setInterval(() => server.publish(String(server.log.length)), 20)
    onTestFinished(() => clearInterval(timer))
    return {
      ...server,
      url: proxy.url,
      /** Stops publishing, and expects that a page has all events after its first one, once and in order. */
      async expectExactlyOnce(page: Page): Promise<void> {
        clearInterval(timer)
        await expect.poll(async () => (await receivedBy(page)).at(-1)).toBe(server.log.at(-1))
        const events = await receivedBy(page)
        expect(events).toEqual(server.log.slice(-events.length))
      },
    }
  }

  test('receives a stream, resumes it, and reports no fallback', async () => {
    const { url, requests, endStreams, expectExactlyOnce } = await start()
    const page = await chromium.open(url)
    for (let round = 1; round < 5; round++) {
      await expect.poll(async () => (await receivedBy(page)).length).toBeGreaterThan(round * 10)
      endStreams()
    }
    await expectExactlyOnce(page)
    expect(await transportsOf(page)).toEqual(['event-stream undefined'])
    expect(new Set(requests.map(({ kind }) => kind))).toEqual(new Set(['stream']))
    await page.close()
  })

  test.each([
    ['headers', 'json no-headers'],
    ['body', 'json no-first-byte'],
    ['cut', 'json cuts'],
  ] as const)('polls behind a proxy that holds or cuts: %s', async (hold, transport) => {
    const { url, expectExactlyOnce } = await start(hold)
    const page = await chromium.open(url)
    await expect.poll(async () => (await transportsOf(page)).at(-1)).toBe(transport)
    await expect.poll(async () => (await receivedBy(page)).length).toBeGreaterThan(10)
    await expectExactlyOnce(page)
    // The outcome is remembered for the session of the tab.
    await page.reload()
    await expect.poll(async () => transportsOf(page)).toEqual([transport])
    await page.close()
  })

  test('shares one stream among tabs', async () => {
    const { url, requests, expectExactlyOnce } = await start()
    const first = await chromium.open(`${url}/#share`)
    await expect.poll(async () => (await receivedBy(first)).length).toBeGreaterThan(5)
    const opened = first.waitForEvent('popup')
    await first.evaluate(() => open('/#share', '_blank'))
    const second = await opened
    await expect.poll(async () => (await receivedBy(second)).length).toBeGreaterThan(5)
    await expectExactlyOnce(first)
    await expectExactlyOnce(second)
    expect(requests).toHaveLength(1)
    await first.context().close()
  })

  test('resumes after a reload', async () => {
    const { url, log, requests } = await start()
    const page = await chromium.open(`${url}/#persist`)
    await expect.poll(async () => (await receivedBy(page)).length).toBeGreaterThan(5)
    await page.reload()
    await expect.poll(async () => (await receivedBy(page)).length).toBeGreaterThan(5)
    const { after } = requests[1] ?? {}
    expect(Number(after?.replace('run-', ''))).toBeGreaterThan(5)
    expect((await receivedBy(page))[0]).toBe(log[Number(after?.replace('run-', ''))])
    await page.close()
  })
})
