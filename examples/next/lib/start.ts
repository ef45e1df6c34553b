import { hub } from './hub'

const prices = hub.channel('prices')
let value = 100

const timer = setInterval(() => {
  value += Math.random() - 0.5
  prices.publish({ event: 'price', data: { value } })
}, 500)

// Next waits for the streams that are open. The hub ends its own, and tells each client when to come back.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    clearInterval(timer)
    hub.shutdown({ graceMs: 5_000 })
  })
}
