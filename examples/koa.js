// Koa: one path that streams visits to event stream clients, and counts every other request as a visit.
// Run `node examples/koa.js`, then open the stream, and visit the URL in another terminal. <url> is the URL that the
// example prints.
//
//   curl -N -H 'Accept: text/event-stream' <url>
//   curl <url>

import Koa from 'koa'
import { gracefulShutdown, Hub } from 'spillway'
import { sse } from 'spillway/koa'

const hub = new Hub()
const visits = hub.channel('visits')
let count = 0

const app = new Koa()
app.use(
  sse(
    (stream) => {
      if (stream.lastEventId === undefined) stream.send({ event: 'visits', data: { count } })
      visits.subscribe(stream)
    },
    { negotiate: true },
  ),
)
app.use(async (ctx) => {
  count += 1
  await visits.publish({ event: 'visit', data: { count, path: ctx.path } })
  ctx.body = { count }
})

const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`Streaming and counting visits at http://localhost:${port}`)
})

gracefulShutdown({ server, hub })
