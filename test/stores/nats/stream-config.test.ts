import type { JetStreamManager } from '@nats-io/jetstream'
import { expect, test } from 'vitest'
import { ensureStream } from '../../../src/stores/nats/stream-config.ts'

const NOT_FOUND = 10059
const SUBJECTS_OVERLAP = 10065

const spec = { stream: 's', subjectPrefix: 's', publishTimeout: 5_000, requested: {}, settings: {} }

/** A server that has a stream only from the second look-up on, or never. */
function managerOf({ isCreatedMeanwhile }: { isCreatedMeanwhile: boolean }) {
  let lookUps = 0
  let config = {}
  const streams = {
    async info() {
      lookUps += 1
      if (lookUps === 1 || !isCreatedMeanwhile) throw Object.assign(new Error(), { code: NOT_FOUND })
      const state = { first_seq: 1, last_seq: 4 }
      return {
        created: '2026-01-01T00:00:00Z',
        state,
        config: { ...config, num_replicas: 1, duplicate_window: 10 ** 12 },
      }
    },
    async add(wanted: object) {
      config = wanted
      throw Object.assign(new Error('subjects overlap'), { code: SUBJECTS_OVERLAP })
    },
  }
  return { streams } as unknown as JetStreamManager
}

test('a stream that another process creates at the same time is used, although its subjects are in use', async () => {
  expect(await ensureStream(managerOf({ isCreatedMeanwhile: true }), spec)).toMatchObject({ last: 4 })
})

test('a stream whose subjects belong to another stream is rejected', async () => {
  await expect(ensureStream(managerOf({ isCreatedMeanwhile: false }), spec)).rejects.toThrow(
    'subjects overlap',
  )
})
