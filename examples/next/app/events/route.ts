import { sse } from 'spillway/next'
import { hub } from '../../lib/hub'

// A client that comes back goes on where it left off.
export const GET = sse((stream) => {
  hub.subscribe(stream, ['prices'])
  stream.on('close', (reason) => console.log(`/events: ${reason}`))
})
