import { serve } from './contenders.js'
import { parentPort } from './parent-port.js'
import { Sampler } from './sampler.js'

// The server process. It publishes from its start to its end, and reports a sample at each interval.

const { server, interval, large } = JSON.parse(process.argv[2])
const filler = 'x'.repeat(80)
const largeFiller = 'x'.repeat(large)
const sampler = new Sampler()
const { port, publish } = await serve(server)

let n = 0
setInterval(() => {
  n += 1
  publish({ n, text: filler }, false)
  if (large > 0) publish({ large: n, text: largeFiller }, true)
}, 1_000)
setInterval(() => parentPort.report({ sample: sampler.take() }), interval * 1_000)
parentPort.report({ port })
