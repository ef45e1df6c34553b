import { setTimeout as pause } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { hasChromium, useChromium } from '../support/chromium.ts'
import { get } from '../support/client.ts'
import { Example, startExample } from './example.ts'

describe.skipIf(!hasChromium)('the page of examples/cluster', () => {
  const cluster = startExample('cluster/main.js')
  const browser = useChromium()

  it('misses and repeats no event when a process is killed, and when Redis is killed', async () => {
    const tabs = await Promise.all([openTab(), openTab(), openTab()])

    await press('Kill the process of this tab', tabs)
    await press('Kill Redis for a second', tabs)
    await press('Kill the process of this tab', tabs)

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

  /** Presses a button of the first tab. Resolves when all tabs have received further events. */
  async function press(button: string, tabs: readonly Page[]): Promise<void> {
    const before = await Promise.all(tabs.map((tab) => count(tab, 'events')))
    await tabs[0]?.getByText(button).click()
    for (const [i, tab] of tabs.entries()) {
      const enough = (before[i] ?? 0) + 12
      await expect.poll(() => count(tab, 'events'), { timeout: 15_000 }).toBeGreaterThan(enough)
    }
  }
})

async function count(tab: Page, id: string): Promise<number> {
  return Number(await tab.locator(`#${id}`).textContent())
}

describe('the processes of examples/cluster', () => {
  // With the default policy of Node.js, the primary process passes the first of these connections to the killed
  // process.
  it('leave no client waiting that connects while one of them is killed and the primary process is stopped', async () => {
    for (let round = 0; round < 3; round++) {
      const cluster = await Example.start('cluster/main.js')
      onTestFinished(async () => void (await cluster.stop()))
      const stream = await get('http', cluster.port, { path: '/events' })
      await stream.until('"by":')
      const [, pid] = /"by":(\d+)/.exec(stream.body) ?? []
      cluster.signal('SIGSTOP')
      process.kill(Number(pid), 'SIGKILL')
      const requests = Array.from({ length: 6 }, () => requestPage(cluster))
      await pause(200)
      cluster.signal('SIGCONT')
      for (const response of await Promise.all(requests)) expect([200, 'reset']).toContain(response)
    }
  })
})

/** Requests the page over a new connection, which is reset if the killed process has accepted it. */
function requestPage({ port }: Example): Promise<number | string> {
  const response = get('http', port).then(
    ({ status }) => status,
    () => 'reset',
  )
  return Promise.race([response, pause(10_000, 'no response', { ref: false })])
}
