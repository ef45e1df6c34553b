import { afterAll, beforeAll, describe, onTestFinished } from 'vitest'
import { Firefox, hasFirefox } from '../support/firefox.ts'
import { browserContract } from './browser-contract.ts'

describe.skipIf(!hasFirefox)('the built client in Firefox', () => {
  let firefox: Firefox
  beforeAll(async () => {
    firefox = await Firefox.launch()
  })
  afterAll(() => firefox?.close())

  browserContract(async (url) => {
    const tab = await firefox.open(url)
    onTestFinished(() => tab.close())
    return tab
  }, 'no-headers')
})
