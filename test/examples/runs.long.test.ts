import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { hasChromium, useChromium } from '../support/chromium.ts'
import { startExample } from './example.ts'

const shown = (page: Page) => page.locator('output').textContent()
const ended = (page: Page, how: string) => page.locator('small', { hasText: how }).waitFor()

/** Starts an answer, and waits for its first words. */
async function ask(page: Page) {
  const url = page.url()
  await page.getByRole('button', { name: 'Ask' }).click()
  await page.waitForURL(({ href }) => href !== url)
  await words(page)
}

const words = (page: Page) => page.locator('output', { hasText: 'A spillway releases' }).waitFor()

describe.skipIf(!hasChromium).each(['express', 'fastify', 'hono'])(
  'the page of examples/runs/%s.js',
  (name) => {
    const server = startExample(`runs/${name}.js`, { PACE_MS: '80' })
    // Its answers do not end before the button is clicked, however busy the machine is.
    const slow = startExample(`runs/${name}.js`, { PACE_MS: '500' })
    const browser = useChromium()

    it('shows the whole answer once after a reload, in a second tab, and when it is opened again', async () => {
      const [first, closing] = [await browser.open(server.url), await browser.open(server.url)]
      await ask(first)
      await closing.goto(first.url())
      await words(closing)
      await closing.close()
      await first.reload()
      const second = await browser.open(first.url())
      const reopened = await browser.open(first.url())
      for (const page of [first, second, reopened]) {
        await ended(page, 'That was all.')
        expect(await page.locator('blockquote').textContent()).toBe('What is a spillway?')
        expect(await shown(page)).toMatch(/^A spillway (?!.*A spillway).* and all of it\.$/)
        expect(await shown(page)).toBe(await shown(first))
      }
      await first.reload()
      await ended(first, 'That was all.')
      expect(await shown(first)).toBe(await shown(second))
    })

    it('stops the answer in all tabs by a click in one, and asks again', async () => {
      const first = await browser.open(slow.url)
      await ask(first)
      const second = await browser.open(first.url())
      await words(second)
      await second.getByRole('button', { name: 'Stop' }).click()
      for (const page of [first, second]) {
        await ended(page, 'Stopped.')
        expect(await page.getByRole('button', { name: 'Stop' }).isDisabled()).toBe(true)
      }
      expect(await shown(first)).toBe(await shown(second))
      await ask(first)
      await first.getByRole('button', { name: 'Stop' }).click()
      await ended(first, 'Stopped.')
    })

    it('reports that an answer does not exist', async () => {
      await ended(await browser.open(`${server.url}#none`), 'This answer is not kept any more.')
    })
  },
)

describe.skipIf(!hasChromium)('the page of examples/runs/deploy-log.js', () => {
  const server = startExample('runs/deploy-log.js', { PACE_MS: '10' })
  const browser = useChromium()

  it('shows the log from its first line', async () => {
    const page = await browser.open(server.url)
    const log = page.locator('pre', { hasText: 'done' })
    await log.waitFor()
    expect((await log.textContent())?.split('\n')).toEqual([
      'Deploying to 6 hosts',
      ...['db-1', 'db-2', 'api-1', 'api-2', 'web-1', 'web-2'].map((host) => `${host}: healthy`),
      'done',
    ])
  })
})
