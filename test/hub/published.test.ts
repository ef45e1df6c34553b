import { Hub } from '../../src/hub/hub.ts'
import { STORES } from '../support/stores.ts'
import { publishedContract } from './published-contract.ts'

for (const [name, open] of STORES)
  publishedContract(`a ${name} store`, async () => {
    const store = open()
    const hub = new Hub({ store })
    await store.ready
    return hub
  })
