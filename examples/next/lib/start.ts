import { hub } from './hub'

const prices = hub.channel('prices')
let value = 100

const timer = setInterval(() => {
  value += Math.random() - 0.5
  prices.publish({ event: 'price', data: { value } })
}, 500)

// Next waits for open streams. The hub closes its streams and sends each client a reconnect delay.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    clearInterval(timer)
    hub.shutdown({ grace: 5_000 })
    // Next also waits for connections that browsers keep open, on which they reconnect.
    setTimeout(() => process.exit(), 10_000).unref()
  })
}
