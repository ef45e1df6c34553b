import { sse } from 'spillway/next'
import { hub } from '../../lib/hub'

// A client that reconnects gets the events that it missed.
export const GET = sse((stream) => {
  hub.subscribe(stream, 'prices')
  stream.on('close', (reason) => console.log(`/events: ${reason}`))
})
