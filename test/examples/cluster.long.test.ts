import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { hasChromium, useChromium } from '../support/chromium.ts'
import { startExample } from './example.ts'

describe.skipIf(!hasChromium)('the page of examples/cluster', () => {
  const cluster = startExample('cluster/main.js')
  const browser = useChromium()

  it('misses and repeats no event when a process is killed, and when Redis is killed', async () => {
    const tabs = await Promise.all([openTab(), openTab(), openTab()])

    for (const button of ['Kill a process', 'Kill Redis for a second', 'Kill a process']) {
      const before = await Promise.all(tabs.map((tab) => count(tab, 'events')))
      await tabs[0]?.getByText(button).click()
      for (const [i, tab] of tabs.entries()) {
        const enough = (before[i] ?? 0) + 12
        await expect.poll(() => count(tab, 'events'), { timeout: 15_000 }).toBeGreaterThan(enough)
      }
    }

    for (const tab of tabs) {
      expect(await count(tab, 'missing')).toBe(0)
      expect(await count(tab, 'twice')).toBe(0)
      expect(await count(tab, 'gaps')).toBe(0)
    }
    const connections = await Promise.all(tabs.map((tab) => count(tab, 'connections')))
    expect(Math.max(...connections)).toBeGreaterThan(1)
  })

  async function openTab(): Promise<Page> {
    const tab = await browser.open(cluster.url)
    await expect.poll(() => count(tab, 'events')).toBeGreaterThan(0)
    return tab
  }
})

async function count(tab: Page, id: string): Promise<number> {
  return Number(await tab.locator(`#${id}`).textContent())
}
