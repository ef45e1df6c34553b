import { contender, serve } from '../lib/server.js'
import { WAYS } from './ways.js'

await serve({}, WAYS[contender])
