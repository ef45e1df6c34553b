import { once } from 'node:events'
import { respond } from '../lib/child.js'
import { contenders } from './contenders.js'

const server = contenders[process.argv[2]]()
// Hundreds of clients connect at the same time.
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
await once(server, 'listening')
respond({ port: () => server.address().port })
