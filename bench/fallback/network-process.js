import { respond } from '../lib/child.js'
import { startSlowNetwork } from './network.js'

// A process of its own, so that only the given delays make the network slow.
const { target, ...speed } = JSON.parse(process.argv[2])
const network = await startSlowNetwork(target, speed)

respond({ port: () => network.port, stall: (ms) => network.stall(ms) })
