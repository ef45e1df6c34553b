import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasChromium, launchPlainChromium } from '../support/chromium.ts'
import { SharedTabs } from '../support/shared-tabs.ts'
import { close, crash, freeze, loseLeaders, summary } from './share-rounds.ts'

describe.skipIf(!hasChromium)('tabs in Chromium that share a connection', () => {
  let chromium: Awaited<ReturnType<typeof launchPlainChromium>>

  beforeAll(async () => {
    chromium = await launchPlainChromium()
  })

  afterAll(() => chromium?.close())

  test.each([
    ['closed', close],
    ['killed', crash],
    ['frozen', freeze],
  ])(
    'lose and repeat no event when the leader is %s a hundred times',
    { timeout: 600_000 },
    async (name, loss) => {
      const tabs = await SharedTabs.start(chromium.context, 5)
      const takeovers = await loseLeaders(tabs, 100, loss)
      console.info(`A leader is ${name}. Silence of the others: ${summary(takeovers)}.`)
      expect(takeovers).toHaveLength(100)
    },
  )
})
