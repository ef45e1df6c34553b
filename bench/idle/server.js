import { contender, serve } from '../lib/server.js'
import { servers } from './handlers.js'

await serve({}, servers[contender])
