import type { Page } from 'playwright-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../../support/broker.js'
import { hasChromium, useChromium } from '../support/chromium.ts'
import { Example } from './example.ts'

let dashboard: Example

beforeEach(async () => {
  // A port that remains free while the dashboard is restarted.
  dashboard = await Example.start('dashboard/server.js', { PORT: String(await freePort()) })
})

afterEach(() => dashboard.stop())

describe.skipIf(!hasChromium)('the page of examples/dashboard', () => {
  const browser = useChromium()
  let page: Page

  beforeEach(async () => {
    page = await browser.open('about:blank')
  })

  afterEach(() => page.close())

  it('draws its charts from the events', async () => {
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

  it('gets the events that it missed while it was dropped', async () => {
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

  it('drops one of two tabs and keeps the other connected', async () => {
    const other = await browser.open('about:blank')
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

  it('shows the same events in two tabs that are dropped one after the other', async () => {
    const other = await browser.open('about:blank')
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

  it('reports a gap when the server is restarted', async () => {
    await openPage(page)
    await eventsArrive(page)
    await dashboard.stop()
    await inState(page, 'reconnecting')
    const before = await receivedIds(page)
    dashboard = await Example.start('dashboard/server.js', { PORT: String(dashboard.port) })
    await countReaches(page, 'gaps', 1)
    await eventsArrive(page)

    const after = (await receivedIds(page)).slice(before.length)
    expect(after[0]).toMatch(/-1$/)
    expect(after).toEqual(consecutive(after[0], after.length))
    expect(await counts(page)).toMatchObject({ resumes: 0, gaps: 1, irregular: 0 })
    expect(await page.getByRole('status').last().textContent()).toContain('gap')
  })
})

// The globals of the page that the functions below use.
declare const window: { dashboard: { ids: string[]; counts: Record<string, number> } }
declare const document: { querySelectorAll(selector: 'canvas'): Iterable<Canvas> }
interface Canvas {
  width: number
  height: number
  getContext(kind: '2d'): {
    getImageData(x: number, y: number, width: number, height: number): { data: Uint8ClampedArray }
  }
}

/** True if three canvases have a coloured line. Axes and grids are grey. */
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

/** The ids that the server assigns from the first one on. */
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

/** Waits for two more events. */
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
