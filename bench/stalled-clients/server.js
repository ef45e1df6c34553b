import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSseStream } from 'spillway'
import { serve } from '../lib/server.js'

const SIZE = 16 * 1024
const DATA = JSON.stringify({ text: 'x'.repeat(SIZE) })
// How long a full buffer stays full, in ms.
const IDLE = 1_000
const options = { overflow: 'drop-newest', maxBufferedBytes: 32 * 1024, stallTimeout: 0, heartbeat: 0 }

/** Sends events of 16 KiB to clients that read them. */
async function warmUp(streams, { bytes }) {
  const events = bytes / SIZE
  for (let i = 0; i < events; i++) {
    for (const stream of streams) stream.send({ data: DATA })
    for (const stream of streams) await stream.drained()
  }
  return events
}

/** Sends events until no stream has accepted one for a second. Returns how many bytes all of them have accepted. */
async function fill(streams) {
  let accepted = 0
  let since = performance.now()
  while (performance.now() - since < IDLE) {
    for (const stream of streams) {
      if (!stream.send({ data: DATA })) continue
      accepted += SIZE
      since = performance.now()
    }
    await sleep(1)
  }
  return accepted
}

await serve({ warmUp, fill }, (onStream) =>
  createServer((request, response) => {
    const stream = createSseStream(request, response, options)
    stream.on('close', onStream(stream))
  }),
)
