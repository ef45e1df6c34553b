import { setTimeout as pause } from 'node:timers/promises'
import type { CDPSession, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { hasChromium, launchPlainChromium } from '../support/chromium.ts'
import { serveClientPage, transportsOf } from '../support/client-page.ts'

// A stream without a byte for 2.75 intervals is dead. In ms.
const HEARTBEAT = 1000
const SLEEP = 3000
const TABS = 5
const ROUNDS = 2

interface Sleeper {
  readonly page: Page
  readonly devtools: CDPSession
}

describe.skipIf(!hasChromium)('tabs in Chromium that are frozen for longer than the heartbeat', () => {
  let chromium: Awaited<ReturnType<typeof launchPlainChromium>>
  beforeAll(async () => {
    chromium = await launchPlainChromium()
  })
  afterAll(() => chromium?.close())

  async function open(url: string): Promise<Sleeper> {
    const page = await chromium.context.newPage()
    onTestFinished(() => page.close())
    await page.goto(url)
    return { page, devtools: await chromium.context.newCDPSession(page) }
  }

  /** Hides and freezes tabs, publishes an event while they sleep, and wakes them. */
  async function sleep(tabs: readonly Sleeper[], publishNext: () => void): Promise<void> {
    for (const { devtools } of tabs) await devtools.send('Page.setWebLifecycleState', { state: 'frozen' })
    await pause(SLEEP / 2)
    publishNext()
    await pause(SLEEP / 2)
    for (const { devtools } of tabs) await devtools.send('Page.setWebLifecycleState', { state: 'active' })
    for (const { page } of tabs) expect(await page.evaluate('document.visibilityState')).toBe('hidden')
  }

  // The transport is emitted again when another tab leads. In Chromium 156, a body of `fetch` that has received bytes
  // in a frozen page ends its reads without an error, so that the client takes the stream for dead.
  test.each([
    ['a stream', 'none', '', ['event-stream undefined', 'event-stream silent']],
    ['a shared stream', 'none', '#share', ['event-stream undefined']],
    ['a long poll', 'headers', '', ['json no-headers']],
    ['a shared long poll', 'headers', '#share', ['json no-headers']],
  ] as const)('keep %s, and lose and repeat no event', async (_name, hold, fragment, transports) => {
    const { url, publishNext, expectExactlyOnce } = await serveClientPage(hold, {
      interval: 0,
      heartbeat: HEARTBEAT,
    })
    const tabs: Sleeper[] = []
    for (let count = 0; count < TABS; count++) tabs.push(await open(`${url}/${fragment}`))
    for (const { page } of tabs) await expect.poll(() => transportsOf(page)).toHaveLength(1)
    for (let round = 0; round < ROUNDS; round++) {
      publishNext()
      for (const { page } of tabs) await expectExactlyOnce(page)
      await sleep(tabs, publishNext)
      publishNext()
      for (const { page } of tabs) await expectExactlyOnce(page)
    }
    for (const { page } of tabs) expect(transports).toEqual(expect.arrayContaining(await transportsOf(page)))
  })
})
