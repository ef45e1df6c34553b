import { serveFanOut } from '../lib/serve-fan-out.js'
import { contenders } from './contenders.js'

await serveFanOut(contenders)
