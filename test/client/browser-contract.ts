import { expect, test } from 'vitest'
import {
  receivedBy,
  receivesMoreThan,
  serveClientPage,
  type Tab,
  transportsOf,
} from '../support/client-page.ts'

/** Opens a page in a browser. All pages belong to the same user. They are closed after the test. */
export type OpenTab = (url: string) => Promise<Tab>

/**
 * Tests the built client in a browser. `noBody` is the reason behind a proxy that holds the body. Firefox resolves
 * `fetch` when the first byte of a body arrives.
 */
export function browserContract(open: OpenTab, noBody: 'no-first-byte' | 'no-headers'): void {
  test('receives a stream, resumes it, and reports no fallback', async () => {
    const { url, requests, endStreams, expectExactlyOnce } = await serveClientPage()
    const tab = await open(url)
    for (let round = 1; round < 5; round++) {
      await receivesMoreThan(tab, round * 10)
      endStreams()
    }
    await expectExactlyOnce(tab)
    expect(await transportsOf(tab)).toEqual(['event-stream undefined'])
    expect(new Set(requests.map(({ kind }) => kind))).toEqual(new Set(['stream']))
  })

  test('resumes a stream that was cut, and loses and repeats nothing', async () => {
    const { url, streams, expectExactlyOnce } = await serveClientPage()
    const tab = await open(url)
    for (let round = 1; round < 3; round++) {
      await receivesMoreThan(tab, round * 10)
      for (const stream of streams) stream.destroy()
    }
    await receivesMoreThan(tab, 30)
    await expectExactlyOnce(tab)
    expect(await transportsOf(tab)).toEqual(['event-stream undefined'])
  })

  test.each([
    ['headers', 'json no-headers'],
    ['body', `json ${noBody}`],
    ['cut', 'json cuts'],
  ] as const)('polls behind a proxy that holds or cuts: %s', async (hold, transport) => {
    const { url, expectExactlyOnce } = await serveClientPage(hold)
    const tab = await open(url)
    await expect.poll(async () => (await transportsOf(tab)).at(-1)).toBe(transport)
    await receivesMoreThan(tab, 10)
    await expectExactlyOnce(tab)
    // The outcome is remembered for the session of the tab.
    await tab.reload()
    await expect.poll(async () => transportsOf(tab)).toEqual([transport])
  })

  test('shares one stream among tabs', async () => {
    const { url, requests, expectExactlyOnce } = await serveClientPage()
    const tabs = [await open(`${url}/#share`), await open(`${url}/#share`)]
    for (const tab of tabs) await receivesMoreThan(tab, 5)
    for (const tab of tabs) await expectExactlyOnce(tab)
    expect(requests).toHaveLength(1)
  })

  test('resumes after a reload', async () => {
    const { url, log, requests } = await serveClientPage()
    const tab = await open(`${url}/#persist`)
    await receivesMoreThan(tab, 5)
    await tab.reload()
    await receivesMoreThan(tab, 5)
    const { after } = requests[1] ?? {}
    expect(Number(after?.replace('run-', ''))).toBeGreaterThan(5)
    expect((await receivedBy(tab))[0]).toBe(log[Number(after?.replace('run-', ''))])
  })
}
