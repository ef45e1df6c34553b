import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasChromium, launchPlainChromium } from '../support/chromium.ts'
import type { SharePage } from '../support/share-page.ts'
import { SharedTabs } from '../support/shared-tabs.ts'
import { close, crash, freeze, loseLeaders, summary } from './share-rounds.ts'

describe.skipIf(!hasChromium)('tabs in Chromium that share a connection', () => {
  let chromium: Awaited<ReturnType<typeof launchPlainChromium>>

  beforeAll(async () => {
    chromium = await launchPlainChromium()
  })

  afterAll(() => chromium?.close())

  test('use one connection over HTTP/1.1 for twenty tabs, and each receives every event once', async () => {
    const tabs = await SharedTabs.start(chromium.context, 10)
    for (let count = 0; count < 20; count++) await tabs.open()
    for (const tab of tabs.tabs) await tabs.receivedAll(tab)
    expect([tabs.requests, tabs.connections]).toEqual([1, 1])
  })

  test.each([
    ['closed', close],
    ['killed', crash],
    ['frozen', freeze],
  ])('lose and repeat no event when the leader is %s', async (name, loss) => {
    const tabs = await SharedTabs.start(chromium.context, 5)
    const takeovers = await loseLeaders(tabs, 3, loss)
    console.info(`A leader is ${name}. Silence of the others: ${summary(takeovers)}.`)
  })

  test('replace a leader whose scripts are blocked, and it receives the missed events', async () => {
    const tabs = await SharedTabs.start(chromium.context, 5)
    for (let count = 0; count < 3; count++) await tabs.open()
    const leader = await tabs.leaderElected()
    await tabs.block(leader)
    await expect.poll(() => tabs.leader !== undefined && tabs.leader !== leader).toBe(true)
    tabs.unblock()
    for (const tab of tabs.tabs) await tabs.receivedAll(tab)
    await tabs.leaderElected()
    expect(tabs.leader).not.toBe(leader)
  })

  test('continue without a loss when a tab is restored from the back/forward cache', async () => {
    const tabs = await SharedTabs.start(chromium.context, 5)
    for (let count = 0; count < 2; count++) await tabs.open()
    const leader = await tabs.leaderElected()
    await tabs.receivedAll(leader)
    await leader.page.goto('data:text/html,other')
    await expect.poll(() => tabs.leader !== undefined && tabs.leader !== leader).toBe(true)
    // A page that is restored emits no `load` event.
    await leader.page.goBack({ waitUntil: 'commit' })
    for (const tab of tabs.tabs) await tabs.receivedAll(tab)
    expect(await leader.page.evaluate(() => (globalThis as unknown as SharePage).isRestored)).toBe(true)
    expect(tabs.leader).not.toBe(leader)
  })

  test('end the connection when the last tab is closed', async () => {
    const tabs = await SharedTabs.start(chromium.context, 5)
    for (let count = 0; count < 3; count++) await tabs.open()
    await tabs.leaderElected()
    for (const { page } of tabs.tabs) await page.close()
    await expect.poll(() => tabs.connections).toBe(0)
  })
})
