import { describe, expect, test } from 'vitest'
import { deferred } from '../support/deferred.ts'
import { openRuns } from '../support/runs.ts'
import { CHAT_OPTIONS, Chat, serveChat } from './chat.ts'
import { chatContract } from './chat-contract.ts'
import { inMemory } from './run-processes.ts'

chatContract('in memory', inMemory)

describe('the chat of the ai package', () => {
  test('gets an error that the source throws as the text that errorMessage returns', async () => {
    const failing = async function* () {
      yield { data: { type: 'start' } }
      throw new Error('secret')
    }
    for (const [message, expected] of [
      [undefined, 'The answer was interrupted.'],
      ['Sorry', 'Sorry'],
    ]) {
      const runs = openRuns({ ...CHAT_OPTIONS, errorMessage: () => message })
      const { api } = await serveChat(runs, failing)
      const chat = new Chat(api)
      await chat.sendMessage({ text: 'hello' })
      expect([chat.status, chat.error?.message]).toEqual(['error', expected])
      expect(runs.errors).toEqual([expect.objectContaining({ message: 'secret' })])
    }
  })

  test('gets an error when the beginning of the answer was evicted', async () => {
    const said = deferred<void>()
    const runs = openRuns({ ...CHAT_OPTIONS, maxEvents: 2 })
    const { api } = await serveChat(runs, () => [])
    await runs.start('c1', async function* (signal) {
      for (let at = 0; at < 20; at++) yield { data: { type: 'start', messageId: 'm1' } }
      said.resolve()
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    })
    await said.promise
    const chat = new Chat(api)
    await chat.resumeStream()
    expect([chat.status, chat.error?.message]).toEqual(['error', 'The beginning is not kept.'])
  })
})
