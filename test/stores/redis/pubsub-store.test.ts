import { EventEmitter } from 'node:events'
import { expect, it } from 'vitest'
import { type RedisClient, redisPubSubStore } from '../../../src/stores/redis/index.ts'
import { settled } from '../../support/streams.ts'

/** A client of ioredis whose server is starting. */
class LoadingClient extends EventEmitter {
  status = 'wait'
  isSubscribing = false
  #own: LoadingClient[] = []

  duplicate() {
    const own = new LoadingClient()
    this.#own.push(own)
    return own
  }

  get hasSubscribed(): boolean {
    return this.#own.some(({ isSubscribing }) => isSubscribing)
  }

  async connect() {
    await null
    this.status = 'ready'
    this.emit('ready')
  }

  async subscribe() {
    this.isSubscribing = true
    throw new Error('LOADING Redis is loading the dataset in memory')
  }

  async call() {}
  disconnect() {}
}

const timers = () => process.getActiveResourcesInfo().filter((type) => type === 'Timeout').length

it('does not keep the process running after it is closed before it has subscribed', async () => {
  const before = timers()
  const client = new LoadingClient()
  const store = redisPubSubStore(client as unknown as RedisClient)
  store.open({ onEntry() {}, onLoss() {} })
  await settled()
  expect(client.hasSubscribed).toBe(true)
  await store.close()
  expect(timers()).toBe(before)
})
