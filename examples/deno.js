// Deno: publishes the time once for all subscribers.
// Run `deno run --allow-net --allow-env examples/deno.js`.

import { gracefulShutdown, Hub } from 'spillway'
import { sse } from 'spillway/web'

const hub = new Hub()
const time = hub.channel('time')
setInterval(() => time.publish({ event: 'second', data: new Date() }), 1000)

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

// Exits, because Deno would otherwise wait for its server.
gracefulShutdown({ hub, onClosed: () => process.exit() })
