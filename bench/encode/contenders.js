import { createEventBuffer } from 'better-sse'
import * as encoder from 'eventsource-encoder'
import * as spillway from 'spillway'

// Each is called as its users call it. eventsource-encoder takes text only, so objects are serialised before.
export const contenders = {
  spillway: () => spillway.encode,
  'eventsource-encoder': () => (event) =>
    encoder.encode(typeof event.data === 'string' ? event : { ...event, data: JSON.stringify(event.data) }),
  // Makes JSON of text too: it has no other way to keep a line end inside data. Adds a random id where there is none.
  'better-sse': () => {
    const buffer = createEventBuffer()
    return ({ data, event, id }) => {
      const text = buffer.push(data, event, id).read()
      buffer.clear()
      return text
    }
  },
}

const quote = { symbol: 'ACME', price: 187.43, change: -0.27, volume: 1048576, at: 1767225600000 }
const line = 'The quick brown fox jumps over the lazy dog.'

export const cases = {
  'small JSON, id, name': (i) => ({ event: 'price', data: quote, id: String(i) }),
  token: (i) => ({ data: words[i % words.length] }),
  'ten lines of text': () => ({ data: Array(10).fill(line).join('\n') }),
  '10 KB of text': () => ({ data: 'x'.repeat(10_000) }),
  '10 KB of JSON': (i) => ({ event: 'rows', data: { rows: Array(80).fill(quote) }, id: String(i) }),
}
const words = ['Hello', ' world', ',', ' this', ' is', ' what', ' a', ' model', ' says', '.']
