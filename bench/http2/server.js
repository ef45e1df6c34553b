import { createServer } from 'node:http2'
import { serveFanOut } from '../lib/serve-fan-out.js'
import { topicByHand, topicOfBetterSse, topicOfSpillway, topicOfWrites } from '../lib/topics.js'

await serveFanOut({
  'res-write': () => topicOfWrites(createServer),

  // The same with bytes that are encoded once.
  'res-write, bytes': () => topicByHand(writeBytes, createServer),

  spillway: () => topicOfSpillway(createServer),
  'better-sse': () => topicOfBetterSse(createServer),
})

function writeBytes(text, responses) {
  const bytes = Buffer.from(text)
  for (const response of responses) response.write(bytes)
}
