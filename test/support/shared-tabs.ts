import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { build } from 'esbuild'
import type { BrowserContext, CDPSession, Page } from 'playwright-core'
import { expect, onTestFinished } from 'vitest'
import { serve } from './serve.ts'
import type { Arrival, SharePage } from './share-page.ts'

interface Connection {
  readonly tab: number
  readonly response: ServerResponse
}

/** A page that shares its connection, and the protocol that freezes it. */
export interface SharedTab {
  readonly number: number
  readonly page: Page
  readonly devtools: CDPSession
  isLost: boolean
  /** The id of the last event that is known to have arrived. 0 before the first. */
  lastId: number
}

/** Tabs of one browser context, whose pages share a stream of a server. The server publishes at an interval. */
export class SharedTabs {
  readonly tabs: SharedTab[] = []
  /** The number of requests for the stream so far. */
  requests = 0
  readonly #context: BrowserContext
  readonly #connections = new Set<Connection>()
  readonly #blocked = new Set<ServerResponse>()
  #published = 0
  #script = ''
  #url = ''

  private constructor(context: BrowserContext) {
    this.#context = context
  }

  /** Starts a server. It and the pages are closed after the test. */
  static async start(context: BrowserContext, interval: number): Promise<SharedTabs> {
    const tabs = new SharedTabs(context)
    const entry = join(import.meta.dirname, 'share-page.ts')
    const { outputFiles } = await build({ entryPoints: [entry], bundle: true, format: 'iife', write: false })
    tabs.#script = outputFiles[0]?.text ?? ''
    const { url } = await serve((request, response) => tabs.#respond(request, response))
    tabs.#url = url
    const timer = setInterval(() => tabs.publish(), interval)
    onTestFinished(async () => {
      clearInterval(timer)
      for (const { page } of tabs.remaining) await page.close()
    })
    return tabs
  }

  get connections(): number {
    return this.#connections.size
  }

  get published(): number {
    return this.#published
  }

  /** The tab that has the newest connection. */
  get leader(): SharedTab | undefined {
    const connection = [...this.#connections].at(-1)
    return this.tabs.find(({ number, isLost }) => !isLost && number === connection?.tab)
  }

  get remaining(): SharedTab[] {
    return this.tabs.filter(({ isLost }) => !isLost)
  }

  async open(): Promise<SharedTab> {
    const page = await this.#context.newPage()
    const number = this.tabs.length
    await page.goto(`${this.#url}/?${number}`)
    const tab = { number, page, devtools: await this.#context.newCDPSession(page), isLost: false, lastId: 0 }
    page.on('crash', () => {
      tab.isLost = true
    })
    this.tabs.push(tab)
    return tab
  }

  publish(): void {
    this.#published++
    for (const { response } of this.#connections) this.#send(response, this.#published)
  }

  /** Waits until one tab has the only connection. */
  async leaderElected(): Promise<SharedTab> {
    await expect.poll(() => this.connections === 1 && this.leader !== undefined).toBe(true)
    return this.leader as SharedTab
  }

  /**
   * Waits until a tab has received the events published so far. Returns those that it has received since the last call.
   * Fails unless they arrived once and in order, without a gap.
   */
  async receivedAll(tab: SharedTab): Promise<readonly Arrival[]> {
    const last = this.published
    const take = () => (globalThis as unknown as SharePage).arrivals.splice(0)
    const received: Arrival[] = []
    // The page itself cannot wait, because the timers of a hidden page are late.
    await expect
      .poll(async () => {
        received.push(...(await tab.page.evaluate(take)))
        return received.at(-1)?.id ?? tab.lastId
      })
      .toBeGreaterThanOrEqual(last)
    const first = tab.lastId ? tab.lastId + 1 : (received[0]?.id ?? 0)
    expect(received.map(({ id }) => id)).toEqual(received.map((_, index) => first + index))
    tab.lastId = received.at(-1)?.id ?? tab.lastId
    return received
  }

  /** Stops the scripts of a page without any event, until `unblock`. */
  async block({ page }: SharedTab): Promise<void> {
    const before = this.#blocked.size
    await page.evaluate(() => {
      const Request = (globalThis as unknown as { XMLHttpRequest: new () => SyncRequest }).XMLHttpRequest
      setTimeout(() => {
        const request = new Request()
        request.open('GET', '/block', false)
        request.send()
      })
    })
    await expect.poll(() => this.#blocked.size).toBe(before + 1)
  }

  unblock(): void {
    for (const response of this.#blocked) response.end()
    this.#blocked.clear()
  }

  #respond(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url ?? '', 'http://localhost')
    if (pathname === '/events') this.#connect(request, response)
    else if (pathname === '/block') this.#blocked.add(response)
    else if (pathname === '/script') response.end(this.#script)
    else response.setHeader('content-type', 'text/html').end('<script src="/script"></script>')
  }

  #connect({ headers }: IncomingMessage, response: ServerResponse): void {
    this.requests++
    const connection = { tab: Number(`${headers.tab}`.slice(1)), response }
    this.#connections.add(connection)
    response.once('close', () => this.#connections.delete(connection))
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    const from = headers['last-event-id'] ?? this.#published
    response.write(`id: ${from}\nevent: position\ndata: {}\n\n`)
    for (let id = Number(from) + 1; id <= this.#published; id++) this.#send(response, id)
  }

  #send(response: ServerResponse, id: number): void {
    response.write(`id: ${id}\ndata: event\n\n`)
  }
}

interface SyncRequest {
  open(method: string, url: string, isAsync: boolean): void
  send(): void
}
