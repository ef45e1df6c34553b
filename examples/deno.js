// Deno: publishes the time once for all subscribers.
// Run `deno run --allow-net --allow-env examples/deno.js`.

import { Hub } from 'spillway'
import { sse } from 'spillway/web'

const hub = new Hub()
const time = hub.channel('time')
const timer = setInterval(() => time.publish({ event: 'second', data: new Date() }), 1000)

const options = {
  port: Number(process.env.PORT ?? 3000),
  hostname: '127.0.0.1',
  onListen: (/** @type {{ port: number }} */ { port }) => console.log(`curl -N http://localhost:${port}`),
}

// @ts-expect-error The types are those of Node.
Deno.serve(
  options,
  sse((stream) => time.subscribe(stream)),
)

process.once('SIGTERM', async () => {
  clearInterval(timer)
  await hub.shutdown()
  process.exit()
})
