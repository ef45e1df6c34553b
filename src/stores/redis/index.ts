export type { IoRedisClient, NodeRedisClient, RedisClient } from './connection.ts'
export {
  type RedisLogOptions,
  type RedisPubSubLogOptions,
  redisLog,
  redisPubSubLog,
} from './redis-store.ts'
