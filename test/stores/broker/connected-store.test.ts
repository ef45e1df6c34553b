import { expect, it } from 'vitest'
import { ConnectedStore } from '../../../src/stores/broker/connected-store.ts'
import { deferred } from '../../support/deferred.ts'

class Store extends ConnectedStore {
  readonly done: number[] = []

  begin(connected: Promise<void>): void {
    const whenConnected = async () => {
      await connected
      this.ready = undefined
    }
    this.start(whenConnected())
  }

  append(n: number): Promise<number> {
    return this.onceReady(performance.now() + 1_000, async () => this.done.push(n))
  }
}

it('keeps the order of appends when the store becomes ready', async () => {
  const store = new Store()
  const connected = deferred<void>()
  store.begin(connected.promise)
  const appends = [store.append(1), store.append(2)]
  const { ready } = store
  connected.resolve(undefined)
  await ready
  appends.push(store.append(3))
  await Promise.resolve()
  appends.push(store.append(4))
  await Promise.all(appends)
  expect(store.done).toEqual([1, 2, 3, 4])
})

it('appends at once when the store is ready', () => {
  const store = new Store()
  void store.append(1)
  expect(store.done).toEqual([1])
})
