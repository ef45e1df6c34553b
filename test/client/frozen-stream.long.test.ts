import { setTimeout as pause } from 'node:timers/promises'
import type { CDPSession, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { hasChromium, launchPlainChromium } from '../support/chromium.ts'
import { serveClientPage } from '../support/client-page.ts'

describe.skipIf(!hasChromium)('a tab in Chromium that was frozen', () => {
  let chromium: Awaited<ReturnType<typeof launchPlainChromium>>
  beforeAll(async () => {
    chromium = await launchPlainChromium()
  })
  afterAll(() => chromium?.close())

  async function open(url: string): Promise<{ page: Page; devtools: CDPSession }> {
    const page = await chromium.context.newPage()
    onTestFinished(() => page.close())
    await page.goto(url)
    return { page, devtools: await chromium.context.newCDPSession(page) }
  }

  // The watchdog would replace the stream after 150 s.
  test('receives the events of a stream at once, although the heartbeat is long', async () => {
    const { url, publishNext, expectExactlyOnce } = await serveClientPage('none', {
      interval: 0,
      heartbeat: 60_000,
    })
    const { page, devtools } = await open(url)
    await expect.poll(() => page.evaluate('source.readyState')).toBe(1)
    publishNext()
    await expectExactlyOnce(page)
    await devtools.send('Page.setWebLifecycleState', { state: 'frozen' })
    for (let event = 0; event < 4; event++) {
      await pause(250)
      publishNext()
    }
    await devtools.send('Page.setWebLifecycleState', { state: 'active' })
    await expectExactlyOnce(page)
  })
})
