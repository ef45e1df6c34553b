import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { EventSourceMessage } from 'eventsource-parser'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../support/broker.js'
import { hasChromium, launchChromium } from '../support/chromium.ts'

const script = fileURLToPath(new URL('../../examples/dashboard/server.js', import.meta.url))

/** The example as a process of its own, as a reader starts it. */
class Dashboard {
  readonly port: number
  readonly #process: ChildProcess

  private constructor(process: ChildProcess, port: number) {
    this.#process = process
    this.port = port
  }

  static async start(port: number): Promise<Dashboard> {
    const env = { ...process.env, PORT: String(port) }
    const child = spawn(process.execPath, [script], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    for await (const line of createInterface(child.stdout)) {
      return new Dashboard(child, Number(new URL(line.slice(line.indexOf('http'))).port))
    }
    throw new Error('The dashboard ended before it listened.')
  }

  get url(): string {
    return `http://localhost:${this.port}`
  }

  /** Resolves with the exit code. */
  async stop(): Promise<number | null> {
    const { exitCode, signalCode } = this.#process
    if (exitCode !== null || signalCode !== null) return exitCode
    this.#process.kill('SIGTERM')
    const [code] = await once(this.#process, 'exit')
    return code
  }
}

let dashboard: Dashboard

beforeEach(async () => {
  // A port that remains free while the dashboard is restarted.
  dashboard = await Dashboard.start(await freePort())
})

afterEach(() => dashboard.stop())

describe('the server of the dashboard', () => {
  it('sends exactly what was missed, and calls an id that it does not know a gap', async () => {
    const [, ...seen] = await take(events('/events'), 5)
    const [first, , third] = seen.map((event) => event.id)

    const [hello, ...replayed] = await take(events('/events', first), 4)
    expect(hello?.event).toBe('hello')
    expect(JSON.parse(hello?.data ?? '').latest).toMatch(/^[0-9a-f]+-\d+$/)
    expect(replayed.map((event) => event.id)).toEqual(seen.slice(1).map((event) => event.id))

    const epoch = String(third).split('-')[0]
    for (const unknown of [`${epoch}-999999`, `${epoch}-01`, `${epoch}--1`, '00000000-1', 'x', 'é']) {
      const [, gap, sample] = await take(events('/events', unknown), 3)
      expect([gap?.event, sample?.event, sample?.id]).toEqual(['gap', 'sample', first])
    }
  })

  it('resumes from the middle of the first samples, which are those of the hub', async () => {
    await take(events('/events'), 4)
    const [, one, two] = await take(events('/events'), 3)
    const [, next] = await take(events('/events', one?.id), 2)
    expect(next).toEqual(two)
  })

  it('serves no file but its own', async () => {
    const paths = [
      '/../server.js',
      '/%2e%2e/server.js',
      '/public/index.html',
      '//',
      '/__proto__',
      '/..\\server.js',
    ]
    for (const path of paths) {
      const [answer] = await once(request({ port: dashboard.port, path }).end(), 'response')
      answer.resume()
      expect([path, answer.statusCode]).toEqual([path, 404])
    }
  })

  it('drops only the client that is named', async () => {
    const drop = (query: string) => fetch(`${dashboard.url}/drop${query}`, { method: 'POST' })
    const [other, named] = [events('/events?client=other'), events('/events?client=named')]
    await Promise.all([other.next(), named.next()])

    expect([(await drop('')).status, (await drop('?client=two')).status]).toEqual([404, 404])
    expect((await drop('?client=named')).status).toBe(204)
    await expect(take(named, Number.POSITIVE_INFINITY)).rejects.toThrow('terminated')
    expect(await take(other, 2)).toHaveLength(2)
  })

  it('ends at once and without an error at SIGTERM, with streams open', async () => {
    const stream = events('/events')
    await stream.next()
    const startedAt = performance.now()

    expect(await dashboard.stop()).toBe(0)
    // Before the 5 s for which a server keeps an idle connection.
    expect(performance.now() - startedAt).toBeLessThan(4_000)
    await take(stream, Number.POSITIVE_INFINITY)
  })
})

async function* events(path: string, lastEventId = ''): AsyncGenerator<EventSourceMessage> {
  const { body } = await fetch(dashboard.url + path, { headers: { 'Last-Event-ID': lastEventId } })
  if (body) yield* body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
}

/** The next events, or all that come until the stream ends. Closes it. */
async function take(stream: AsyncIterable<EventSourceMessage>, count: number): Promise<EventSourceMessage[]> {
  const taken: EventSourceMessage[] = []
  for await (const event of stream) if (taken.push(event) >= count) break
  return taken
}

describe.skipIf(!hasChromium)('the dashboard in a browser', () => {
  let browser: Browser
  let page: Page

  beforeAll(async () => {
    browser = await launchChromium()
  })

  afterAll(() => browser.close())

  beforeEach(async () => {
    page = await browser.newPage()
  })

  afterEach(() => page.close())

  it('shows events as they arrive, in charts that are drawn', async () => {
    const errors: string[] = []
    page.on('pageerror', (error) => errors.push(String(error)))
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
    await openPage(page)
    await eventsArrive(page)

    await page.waitForFunction(areChartsDrawn)
    expect(await page.locator('#cpu').textContent()).toMatch(/^\d+\.\d %$/)
    expect(await page.locator('#memory').textContent()).toMatch(/^\d+\.\d\d of \d+\.\d GiB$/)
    expect(await page.locator('#delay').textContent()).toMatch(/^\d+\.\d\d ms$/)
    expect(errors).toEqual([])
  })

  it('resumes after a drop with exactly the events it missed', async () => {
    await openPage(page)
    await eventsArrive(page)
    await page.getByRole('button', { name: 'Drop the connection' }).click()
    await inState(page, 'reconnecting')
    const before = await receivedIds(page)
    await inState(page, 'live')
    await countReaches(page, 'resumes', 1)
    await eventsArrive(page)

    const ids = await receivedIds(page)
    const replayed = Number(await page.locator('#replayed').textContent())
    expect(replayed).toBeGreaterThan(0)
    expect(ids.length).toBeGreaterThan(before.length + replayed)
    expect(ids).toEqual(consecutive(ids[0], ids.length))
    expect(await counts(page)).toMatchObject({ resumes: 1, gaps: 0, irregular: 0 })
  })

  it('drops one of two tabs without touching the other', async () => {
    const other = await browser.newPage()
    await Promise.all([openPage(page), openPage(other)])
    await Promise.all([eventsArrive(page), eventsArrive(other)])
    await page.getByRole('button', { name: 'Drop the connection' }).click()
    await countReaches(page, 'resumes', 1)
    await Promise.all([eventsArrive(page), eventsArrive(other)])

    const ids = await receivedIds(other)
    expect(ids).toEqual(consecutive(ids[0], ids.length))
    expect(await counts(other)).toMatchObject({ resumes: 0, gaps: 0, irregular: 0 })
    expect(await counts(page)).toMatchObject({ resumes: 1, gaps: 0, irregular: 0 })
    await other.close()
  })

  it('keeps two tabs in step when one is dropped and then the other', async () => {
    const other = await browser.newPage()
    await Promise.all([openPage(page), openPage(other)])
    for (const each of [page, other]) {
      await eventsArrive(each)
      await each.getByRole('button', { name: 'Drop the connection' }).click()
      await countReaches(each, 'resumes', 1)
    }
    await eventsArrive(page)

    const ids = await receivedIds(page)
    await other.waitForFunction((id) => window.dashboard.ids.includes(String(id)), ids.at(-1))
    expect((await receivedIds(other)).slice(0, ids.length)).toEqual(ids)
    expect(ids[0]).toMatch(/-1$/)
    expect(ids).toEqual(consecutive(ids[0], ids.length))
    for (const each of [page, other]) {
      expect(await counts(each)).toMatchObject({ resumes: 1, gaps: 0, irregular: 0 })
    }
    await other.close()
  })

  it('reports a gap after the server was restarted', async () => {
    await openPage(page)
    await eventsArrive(page)
    await dashboard.stop()
    await inState(page, 'reconnecting')
    const before = await receivedIds(page)
    dashboard = await Dashboard.start(dashboard.port)
    await countReaches(page, 'gaps', 1)
    await eventsArrive(page)

    const after = (await receivedIds(page)).slice(before.length)
    expect(after[0]).toMatch(/-1$/)
    expect(after).toEqual(consecutive(after[0], after.length))
    expect(await counts(page)).toMatchObject({ resumes: 0, gaps: 1, irregular: 0 })
    expect(await page.getByRole('status').last().textContent()).toContain('gap')
  })
})

// What of the page the functions below use that run in it.
declare const window: { dashboard: { ids: string[]; counts: Record<string, number> } }
declare const document: { querySelectorAll(selector: 'canvas'): Iterable<Canvas> }
interface Canvas {
  width: number
  height: number
  getContext(kind: '2d'): {
    getImageData(x: number, y: number, width: number, height: number): { data: Uint8ClampedArray }
  }
}

/** Three canvases with a line: axes and grid are grey, lines are not. */
function areChartsDrawn(): boolean {
  const hasColour = (canvas: Canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
    for (let i = 0; i < data.length; i += 4) {
      const pixel = [...data.subarray(i, i + 3)]
      if (Math.max(...pixel) - Math.min(...pixel) > 90 && Number(data[i + 3]) > 200) return true
    }
    return false
  }
  return [...document.querySelectorAll('canvas')].filter(hasColour).length === 3
}

/** Ids as the server counts them, from one on. */
function consecutive(first: string | undefined, count: number): string[] {
  const [epoch, sequence] = String(first).split('-')
  return Array.from({ length: count }, (_, index) => `${epoch}-${Number(sequence) + index}`)
}

async function openPage(page: Page): Promise<void> {
  await page.goto(dashboard.url)
  await inState(page, 'live')
}

function inState(page: Page, state: string): Promise<void> {
  return page.locator(`#state[data-state="${state}"]`).waitFor()
}

/** Two more than there were. */
async function eventsArrive(page: Page): Promise<void> {
  await countReaches(page, 'events', Number((await counts(page)).events) + 2)
}

async function countReaches(page: Page, name: string, count: number): Promise<void> {
  await page.waitForFunction(([name, count]) => Number(window.dashboard.counts[name]) >= count, [
    name,
    count,
  ] as const)
}

function counts(page: Page): Promise<Record<string, number>> {
  return page.evaluate(() => window.dashboard.counts)
}

function receivedIds(page: Page): Promise<string[]> {
  return page.evaluate(() => window.dashboard.ids)
}
