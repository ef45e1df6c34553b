export type { IoRedisClient, NodeRedisClient, RedisClient } from './connection.ts'
export {
  type RedisPubSubStoreOptions,
  type RedisStoreOptions,
  redisPubSubStore,
  redisStore,
} from './redis-store.ts'
