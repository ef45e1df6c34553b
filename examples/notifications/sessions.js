import { randomUUID } from 'node:crypto'

/** Sessions in Redis, each with a lifetime. A cookie has the id. */
export class Sessions {
  /**
   * @param {import('ioredis').Redis} redis
   * @param {number} lifetime in ms
   */
  constructor(redis, lifetime) {
    this.redis = redis
    this.lifetime = lifetime
  }

  /**
   * Creates a session. Resolves with its cookie.
   *
   * @param {string} userId
   */
  async create(userId) {
    const id = randomUUID()
    const { redis, lifetime } = this
    await redis.multi().set(`session:${id}`, userId, 'PX', lifetime).sadd(`sessions:${userId}`, id).exec()
    // In production, add `Secure`.
    return `session=${id}; HttpOnly; SameSite=Strict; Path=/`
  }

  /**
   * Returns the session of a request, or undefined if it has none or if it has expired.
   *
   * @param {import('node:http').IncomingMessage} request
   */
  async find({ headers }) {
    const [, id] = /(?:^|; )session=([\w-]{36})(?:;|$)/.exec(headers.cookie ?? '') ?? []
    if (!id) return undefined
    const [userId, left] = await Promise.all([
      this.redis.get(`session:${id}`),
      this.redis.pttl(`session:${id}`),
    ])
    return userId && left > 0 ? { id, userId, expiresAt: Date.now() + left } : undefined
  }

  /** @param {string} id */
  async renew(id) {
    await this.redis.pexpire(`session:${id}`, this.lifetime)
  }

  /**
   * Ends all sessions of a user.
   *
   * @param {string} userId
   */
  async endAll(userId) {
    const ids = await this.redis.smembers(`sessions:${userId}`)
    await this.redis.del(`sessions:${userId}`, ...ids.map((id) => `session:${id}`))
  }
}
