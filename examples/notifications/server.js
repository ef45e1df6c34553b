import express from 'express'
import { Redis } from 'ioredis'
import { register } from 'prom-client'
import { gracefulShutdown, Hub, StreamLimits } from 'spillway'
import { sse } from 'spillway/express'
import { registerMetrics } from 'spillway/prometheus'
import { redisCounts, redisStore } from 'spillway/redis'
import { Sessions } from './sessions.js'

const { PORT = '3000', REDIS_URL = 'redis://localhost', SESSION_MS = '60000' } = process.env
const redis = new Redis(REDIS_URL)
const sessions = new Sessions(redis, Number(SESSION_MS))
const hub = new Hub({ store: redisStore(redis) })
const counts = redisCounts(redis)
const limits = new StreamLimits({ maxPerKey: 3, key: ({ context }) => `${context.userId}`, counts })
registerMetrics()

/** @param {string | number | null} count */
const unread = (count) => ({ event: 'unread', data: { count: Number(count) } })

const events = sse(
  (stream) => {
    const { userId } = stream.context
    const snapshot = async () => [unread(await redis.get(`unread:${userId}`))]
    hub.subscribe(stream, `user:${userId}`, { snapshot })
  },
  {
    limits,
    authorize: async ({ request }) => {
      const session = await sessions.find(request)
      return session ? { context: session, expiresAt: session.expiresAt } : { status: 401 }
    },
    expiringNotice: Number(SESSION_MS) / 2,
  },
)
const app = express().use(express.static(new URL('public', import.meta.url).pathname))
app.get('/events', events)
app.get('/metrics', async (_, response) => void response.type('text').send(await register.metrics()))
app.get('/readyz', (_, response) => void response.sendStatus(shutdown.ready ? 200 : 503))
app.post('/login/:userId', async ({ params }, response) => {
  response.setHeader('Set-Cookie', await sessions.create(params.userId)).sendStatus(204)
})
app.post('/:action', async (request, response) => {
  const session = await sessions.find(request)
  if (!session) return void response.sendStatus(401)
  const { id, userId } = session
  const { action } = request.params
  const channel = hub.channel(`user:${userId}`)
  const key = `unread:${userId}`
  if (action === 'renew') await sessions.renew(id).then(() => hub.reauthorize({ userId }))
  if (action === 'logout') await sessions.endAll(userId).then(() => hub.closeStreams({ userId }))
  if (action === 'notify')
    await channel.publish({ event: 'notification', data: { at: new Date(), by: process.pid } })
  if (action === 'notify') await channel.publish(unread(await redis.incr(key)))
  if (action === 'read') await redis.set(key, 0).then(() => channel.publish(unread(0)))
  response.sendStatus(204)
})
const server = app.listen(Number(PORT), '127.0.0.1')
const shutdown = gracefulShutdown({ server, hub })
