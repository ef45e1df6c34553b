import { Cluster, Redis } from 'ioredis'
import { createCluster, createSentinel } from 'redis'
import { onTestFinished } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { redisStore } from '../../src/stores/redis/index.ts'
import { blocksOf, pageOf } from '../docs/pages.ts'

const IMPORTS = { Cluster, Redis, createCluster, createSentinel, Hub, redisStore }

/**
 * Runs the sample of docs/redis.md that contains a text, with another port instead of each address. Returns its hub.
 */
export function hubOfSample(text: string, port: number): Hub {
  const blocks = blocksOf({ name: 'docs/redis.md', text: pageOf('docs/redis.md') })
  const code = blocks.find((block) => block.code.includes(text))?.code ?? ''
  const local = code
    .replace(/^import .*$/gm, '')
    .replace(/(redis|sentinel)-\d/g, '127.0.0.1')
    .replace(/\b2?6379\b/g, String(port))
  const hub: Hub = new Function(...Object.keys(IMPORTS), `${local}\nreturn hub`)(...Object.values(IMPORTS))
  onTestFinished(() => hub.shutdown({ grace: 0 }))
  return hub
}
