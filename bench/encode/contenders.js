import { createEventBuffer } from 'better-sse'
import * as encoder from 'eventsource-encoder'
import * as spillway from 'spillway'

// Each encoder is called as its users call it. eventsource-encoder accepts only text, so objects are serialized first.
export const contenders = {
  spillway: () => spillway.encode,
  'eventsource-encoder': () => (event) =>
    encoder.encode(typeof event.data === 'string' ? event : { ...event, data: JSON.stringify(event.data) }),
  // Also serializes text as JSON, because otherwise it could not keep a line end in data. Adds a random id by default.
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
