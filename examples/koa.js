// One path for people and programs: a stream of the visits for who accepts one, a visit for everybody else.
// `node examples/koa.js`, then `curl -N` what it prints, and `curl -H 'Accept: application/json'` the same.

import Koa from 'koa'
import { Hub } from 'spillway'
import { sse } from 'spillway/koa'

const hub = new Hub()
const visits = hub.channel('visits')
let count = 0

const app = new Koa()
app.use(sse((stream) => visits.subscribe(stream)))
app.use(async (ctx) => {
  count += 1
  await visits.publish({ event: 'visit', data: { count, path: ctx.path } })
  ctx.body = { count }
})

const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`Visits are told and taken at http://localhost:${port}`)
})

process.once('SIGTERM', async () => {
  server.close()
  await hub.shutdown()
  server.closeAllConnections()
})
