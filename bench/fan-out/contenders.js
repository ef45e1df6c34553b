import { topicByHand, topicOfBetterSse, topicOfSpillway, topicOfWrites } from '../lib/topics.js'

function writeToSockets(text, responses) {
  const chunk = Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`)
  for (const response of responses) response.socket.write(chunk)
}

export const contenders = {
  // The minimal cost of one write per event and client: shared bytes with chunk framing, written directly to the
  // socket.
  socket: () => topicByHand(writeToSockets),

  // The minimal cost of one write per turn and client: the same for all events of the turn together.
  'socket, joined'() {
    let texts = []
    return topicByHand((text, responses) => {
      if (texts.push(text) > 1) return
      setImmediate(() => {
        writeToSockets(texts.join(''), responses)
        texts = []
      })
    })
  },

  'res-write': () => topicOfWrites(),
  spillway: () => topicOfSpillway(),

  // One client in ten has a filter, which passes every event, so that all clients are sent the same bytes.
  'spillway, filters': () => {
    const filter = ({ data }) => data.bid > 0 && !data.halted
    return topicOfSpillway(undefined, (client) => (client % 10 === 0 ? { filter } : undefined))
  },

  'better-sse': () => topicOfBetterSse(),
}
