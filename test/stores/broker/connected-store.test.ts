import { expect, it, onTestFinished, vi } from 'vitest'
import { ConnectedStore } from '../../../src/stores/broker/connected-store.ts'
import { deferred } from '../../support/deferred.ts'
import { countHeld } from '../../support/garbage.ts'

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

it('holds nothing of an append that has timed out before the store is ready', async () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const store = new Store()
  const connected = deferred<void>()
  store.begin(connected.promise)
  const errors: WeakRef<Error>[] = []
  for (let n = 0; n < 20; n++) store.append(n).catch((error) => errors.push(new WeakRef(error)))
  await vi.advanceTimersByTimeAsync(5_000)
  expect(errors).toHaveLength(20)
  expect(vi.getTimerCount()).toBe(0)
  expect(await countHeld(errors)).toBeLessThan(2)
  connected.resolve()
  expect(await store.append(1)).toBe(1)
})
