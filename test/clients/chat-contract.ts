import { DefaultChatTransport } from 'ai'
import { describe, expect, test } from 'vitest'
import type { RunsOptions } from '../../src/runs/run-options.ts'
import { CHAT_OPTIONS, Chat, Model, serveChat } from './chat.ts'
import { type ConnectRunStores, openProcesses } from './run-processes.ts'
import { TEXT } from './sdks.ts'

const whole = TEXT.join('')

/** Tests the client of the `ai` package with the answers of a model as runs, in two processes. */
export function chatContract(name: string, connect: ConnectRunStores): void {
  /** Serves a chat in both processes. The first one is asked first, so that it owns the run. */
  async function open(options: RunsOptions = {}) {
    const model = new Model()
    const { first, second, die } = await openProcesses(connect, { ...CHAT_OPTIONS, ...options })
    const owner = await serveChat(first, (signal) => model.answer(signal))
    const other = await serveChat(second, (signal) => model.answer(signal))
    return { model, owner, other, first, second, die }
  }

  /** Sends a message, and resolves when its answer has begun. */
  async function begun(options: RunsOptions = {}) {
    const opened = await open(options)
    const chat = new Chat(opened.owner.api)
    const sent = chat.sendMessage({ text: 'hello' })
    opened.model.say('Water\n')
    await chat.until('hello', 'Water\n')
    return { ...opened, chat, sent }
  }

  describe(`the chat of the ai package, ${name}`, () => {
    test('shows the answer of a run that its POST starts', async () => {
      const { owner, model } = await open()
      const chat = new Chat(owner.api)
      const sent = chat.sendMessage({ text: 'hello' })
      for (const [at, text] of TEXT.entries()) {
        model.say(text)
        await chat.until('hello', TEXT.slice(0, at + 1).join(''))
      }
      model.end()
      await sent
      expect([chat.texts, chat.status]).toEqual([['hello', whole], 'ready'])
    })

    test.each(['owner', 'other'] as const)(
      'shows the whole answer once when its stream is cut and resumed at the %s process',
      async (which) => {
        const { chat, sent, model, ...processes } = await begun()
        processes.owner.cut()
        await sent
        expect(chat.status).toBe('error')
        model.say('über ')
        const page = which === 'owner' ? chat : new Chat(processes.other.api, chat.messages)
        const resumed = page.resumeStream()
        await page.until('hello', 'Water\nüber ')
        model.say('🦆\r\n')
        model.end()
        await resumed
        expect([page.texts, page.status, model.calls]).toEqual([['hello', whole], 'ready', 1])
      },
    )

    test('shows the whole answer in a page that is loaded in the middle, and in two at once', async () => {
      const { chat, sent, model, other } = await begun()
      model.say('über ')
      await chat.until('hello', 'Water\nüber ')
      const second = new Chat(other.api, chat.messages.slice(0, 1))
      const resumed = second.resumeStream()
      await second.until('hello', 'Water\nüber ')
      model.say('🦆\r\n')
      model.end()
      await Promise.all([sent, resumed])
      expect([chat.texts, second.texts, model.calls]).toEqual([['hello', whole], ['hello', whole], 1])
      expect(second.lastMessage?.parts).toEqual(chat.lastMessage?.parts)
    })

    test('resumes no run that does not exist or has ended', async () => {
      const { owner, other, model } = await open()
      const transport = new DefaultChatTransport({ api: other.api })
      expect(await transport.reconnectToStream({ chatId: 'none' })).toBeNull()
      const chat = new Chat(owner.api)
      const sent = chat.sendMessage({ text: 'hello' })
      model.say(...TEXT)
      model.end()
      await sent
      for (const { api } of [owner, other]) {
        const page = new Chat(api, chat.messages)
        await page.resumeStream()
        expect([page.texts, page.status]).toEqual([['hello', whole], 'ready'])
      }
      expect([owner.answered, other.answered]).toEqual([
        [200, 204],
        [204, 204],
      ])
    })

    test.each(['owner', 'other'] as const)(
      'stops the model with a DELETE at the %s process, and keeps what it has said',
      async (which) => {
        const { chat, sent, model, ...processes } = await begun()
        expect(await (await processes[which].stop('c1')).json()).toBe(true)
        await model.aborted
        await sent
        expect([chat.texts, chat.status]).toEqual([['hello', 'Water\n'], 'ready'])
      },
    )

    test('gets the header and the last chunks of its protocol', async () => {
      const { first, owner } = await open()
      const response = await fetch(owner.api, {
        method: 'POST',
        body: JSON.stringify({ id: 'c1' }),
        headers: { 'content-type': 'application/json' },
      })
      expect(response.headers.get('x-vercel-ai-ui-message-stream')).toBe('v1')
      // The headers are sent before the run is started.
      await expect.poll(() => first.running).toBe(1)
      await first.stop('c1')
      const data = [...(await response.text()).matchAll(/^data: (.*)$/gm)].map(([, each]) => each)
      expect(data.slice(-2)).toEqual(['{"type":"abort"}', '[DONE]'])
    })

    test('does not stop the model by its own stop, which only disconnects', async () => {
      const { chat, sent, model } = await begun()
      await chat.stop()
      await sent
      model.say('über ', '🦆\r\n')
      const resumed = chat.resumeStream()
      await chat.until('hello', whole)
      model.end()
      await resumed
      expect(chat.texts).toEqual(['hello', whole])
    })

    test('gets an error when the process with the model has died', async () => {
      const { chat, sent, owner, other, die } = await begun({ lease: 5_000 })
      const reader = new Chat(other.api, chat.messages.slice(0, 1))
      const resumed = reader.resumeStream()
      await reader.until('hello', 'Water\n')
      owner.cut()
      await die()
      await Promise.all([sent, resumed])
      expect([reader.status, reader.error?.message]).toEqual(['error', 'The answer was interrupted.'])
    })
  })
}
