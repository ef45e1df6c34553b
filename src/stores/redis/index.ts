export type { IoRedisClient, NodeRedisClient, RedisClient } from './connection.ts'
export { type RedisPubSubStoreOptions, redisPubSubStore } from './pubsub-store.ts'
export { type RedisStoreOptions, redisStore } from './redis-store.ts'
