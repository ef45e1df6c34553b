import { gracefulShutdown } from 'spillway'
import { hub } from './hub'
import { runs } from './runs'

const prices = hub.channel('prices')
let value = 100

setInterval(() => {
  value += Math.random() - 0.5
  prices.publish({ event: 'price', data: { value } })
}, 500)

// Next closes its server on SIGTERM, and waits for open streams and for connections that browsers keep open.
gracefulShutdown({ hub, runs })
