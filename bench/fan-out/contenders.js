import { createServer } from 'node:http'
import { createChannel } from 'better-sse'
import { Hub } from 'spillway'
import { subscribeBetterSse, subscribeChannel } from '../lib/topics.js'

// One topic that all clients subscribe to. `publish` sends an event to all of them.

const NAME = 'price'

const HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
}

/** Writes the response headers directly. `send` is called with the text of an event and all responses. */
function byHand(send) {
  const responses = new Set()
  return {
    createServer: (onStream) =>
      createServer((_request, response) => {
        response.writeHead(200, HEADERS)
        response.write(':\nretry: 3000\n')
        responses.add(response)
        const onClose = onStream({})
        response.on('close', () => {
          responses.delete(response)
          onClose()
        })
      }),
    publish(data) {
      // The id is as long as an id of Spillway.
      send(`event: ${NAME}\ndata: ${JSON.stringify(data)}\nid: 0123456789ab-${data.n}\n\n`, responses)
    },
  }
}

function writeToSockets(text, responses) {
  const chunk = Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`)
  for (const response of responses) response.socket.write(chunk)
}

export const contenders = {
  // The minimal cost of one write per event and client: shared bytes with chunk framing, written directly to the socket.
  socket: () => byHand(writeToSockets),

  // The minimal cost of one write per turn and client: the same for all events of the turn together.
  'socket, joined'() {
    let texts = []
    return byHand((text, responses) => {
      if (texts.push(text) > 1) return
      setImmediate(() => {
        writeToSockets(texts.join(''), responses)
        texts = []
      })
    })
  },

  'res-write': () =>
    byHand((text, responses) => {
      for (const response of responses) response.write(text)
    }),

  spillway() {
    const channel = new Hub().channel('prices')
    return {
      createServer: subscribeChannel(channel),
      publish: (data) => channel.publish({ event: NAME, data }),
    }
  },

  // One client in ten has a filter, which passes every event, so that all clients are sent the same bytes.
  'spillway, filters'() {
    const channel = new Hub().channel('prices')
    const filter = ({ data }) => data.bid > 0 && !data.halted
    return {
      createServer: subscribeChannel(channel, (client) => (client % 10 === 0 ? { filter } : undefined)),
      publish: (data) => channel.publish({ event: NAME, data }),
    }
  },

  'better-sse'() {
    const channel = createChannel()
    return {
      createServer: subscribeBetterSse(channel),
      publish: (data) => channel.broadcast(data, NAME),
    }
  },
}
