import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { Served } from './served.ts'

/** Tests a page that is open during a deploy, with servers of `server.js`. */
export function deployContract(adapters: readonly string[]): void {
  describe.skipIf(!hasChromium)('a page that is open during a deploy', () => {
    let browser: Browser

    beforeAll(async () => {
      browser = await launchChromium()
    })

    afterAll(() => browser?.close())

    async function open(url: string): Promise<Page> {
      const context = await browser.newContext({ ignoreHTTPSErrors: true })
      onTestFinished(() => context.close())
      const page = await context.newPage()
      await page.goto(url)
      return page
    }

    it.each(adapters)(
      'lets the process end, and reconnects to the next one on the same port, on %s',
      async (adapter) => {
        const first = await Served.start(adapter)
        const page = await open(first.url)
        await receives(page, first.pid)
        first.process.kill('SIGTERM')
        expect(await first.exit()).toBe(0)
        const second = await Served.start(adapter, {}, { PORT: String(first.port) })
        await receives(page, second.pid)
        expect(await statesOf(page)).not.toContain(2)
        if (adapter === 'fastify') expect(first.lines).toContain('onClose')
      },
    )
  })
}

// The globals of the page that the functions below use.
declare const window: { pids: string[]; states: number[] }

/** Resolves when the `EventSource` of the page has got an event from a process. */
async function receives(page: Page, pid: string): Promise<void> {
  await page.waitForFunction((pid) => window.pids.includes(pid), pid)
}

/** Returns the `readyState` of the `EventSource` at each of its errors. */
function statesOf(page: Page): Promise<number[]> {
  return page.evaluate(() => window.states)
}
