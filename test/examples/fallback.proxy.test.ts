import { connect } from 'node:net'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { isInstalled } from '../support/proxies/setups.ts'
import { Example } from './example.ts'

const PROXIES = [
  'nginx with default settings',
  'nginx that ignores X-Accel-Buffering',
  'lighttpd as installed',
]
const [DEFAULT_NGINX, BUFFERING_NGINX, LIGHTTPD] = PROXIES as [string, string, string]

const isComplete = isInstalled('nginx') && isInstalled('lighttpd')

/** Starts the example. Returns it, and the URL of its page behind each proxy. */
async function startFallback(): Promise<{ example: Example; urls: Map<string, string> }> {
  const example = await Example.start('fallback/server.js')
  const urls = new Map([['no proxy', example.url]])
  for (const _ of PROXIES) {
    const [name = '', url = ''] = String((await example.lines.next()).value).split(/: (.*)/)
    urls.set(name, url)
  }
  return { example, urls }
}

describe.runIf(hasChromium && isComplete)('the page of examples/fallback', () => {
  let browser: Browser
  let example: Example
  let urls: Map<string, string>
  let context: BrowserContext

  beforeAll(async () => {
    ;[browser, { example, urls }] = await Promise.all([launchChromium(), startFallback()])
  })

  afterAll(async () => {
    await Promise.all([browser?.close(), example?.stop()])
  })

  beforeEach(async () => {
    context = await browser.newContext()
  })

  afterEach(() => context.close())

  /** Opens a tab, and collects the requests for events that it sends. */
  async function openTab(proxy: string): Promise<{ tab: Page; requests: string[] }> {
    const tab = await context.newPage()
    const requests: string[] = []
    tab.on('request', (request) => {
      if (request.url().includes('/events')) requests.push(request.headers().accept ?? '')
    })
    await tab.goto(String(urls.get(proxy)))
    return { tab, requests }
  }

  describe.each([
    ['no proxy', 'event-stream', ''],
    [DEFAULT_NGINX, 'event-stream', ''],
    [BUFFERING_NGINX, 'json', ', because of no-headers'],
    [LIGHTTPD, 'json', ', because of no-headers'],
  ])('behind %s', (proxy, transport, reason) => {
    it(`shows "${transport}${reason}", and no skip since its load`, async () => {
      const { tab } = await openTab(proxy)
      const loaded = await numberIn(tab, 'count')

      await shows(tab, 'transport', transport)
      await reaches(tab, loaded + 15)
      const changes = await tab.locator('li').allTextContents()
      expect(changes.map(withoutTime)).toEqual([transport + reason])
      expect(await numberIn(tab, 'skips')).toBe(0)
    })

    it('opens no second stream for a second tab, which continues when the first one is closed', async () => {
      const first = await openTab(proxy)
      await shows(first.tab, 'transport', transport)
      await advances(first.tab, 1)
      const before = { open: await numberIn(first.tab, 'streams'), requests: streamsOf(first.requests) }

      const second = await openTab(proxy)
      await shows(second.tab, 'transport', transport)
      await advances(second.tab, 10)
      expect(second.requests).toEqual([])
      await shows(second.tab, 'holder', 'another tab')
      await shows(first.tab, 'holder', 'this tab')
      // A client that polls tries a stream now and then.
      const tried = streamsOf(first.requests) - before.requests
      expect(await numberIn(second.tab, 'streams')).toBeLessThanOrEqual(before.open + tried)
      if (transport === 'event-stream') await shows(second.tab, 'streams', '1')

      await first.tab.close()
      await shows(second.tab, 'holder', 'this tab')
      await shows(second.tab, 'transport', transport)
      await advances(second.tab, 10)
      expect(await numberIn(second.tab, 'skips')).toBe(0)
    })
  })
})

describe.runIf(isComplete)('the server of examples/fallback', () => {
  it('ends its proxies with itself', async () => {
    const { example, urls } = await startFallback()
    const ports = [...urls.values()].map((url) => Number(new URL(url).port))
    expect(await Promise.all(ports.map(isOpen))).toEqual([true, true, true, true])

    expect(await example.stop()).toBe(0)
    expect(await Promise.all(ports.map(isOpen))).toEqual([false, false, false, false])
  })
})

function streamsOf(requests: readonly string[]): number {
  return requests.filter((accept) => accept === 'text/event-stream').length
}

function withoutTime(change: string): string {
  return change.replace(/^[\d:\s]+([AP]M )?/, '')
}

async function numberIn(tab: Page, id: string): Promise<number> {
  return Number(await tab.locator(`#${id}`).textContent())
}

function shows(tab: Page, id: string, text: string): Promise<void> {
  return tab.locator(`#${id}`, { hasText: new RegExp(`^${text}$`) }).waitFor({ timeout: 0 })
}

async function reaches(tab: Page, count: number): Promise<void> {
  await tab.waitForFunction(countReaches, count, { timeout: 0 })
}

async function advances(tab: Page, counts: number): Promise<void> {
  await reaches(tab, (await numberIn(tab, 'count')) + counts)
}

// The global of the page that the function below uses.
declare const document: { querySelector(selector: string): { readonly textContent: string } }

function countReaches(count: number): boolean {
  return Number(document.querySelector('#count').textContent) >= count
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
