import { createServer } from 'node:http'
import { createChannel } from 'better-sse'
import { Hub } from 'spillway'
import { followBetterSse, followChannel } from '../lib/topics.js'

// One topic that all clients follow. `publish` sends them all an event.

const NAME = 'price'

const HEAD = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
  Vary: 'Accept',
}

/** The head by hand, and what `send` does with the text of an event for all responses. */
function byHand(send) {
  const responses = new Set()
  return {
    createServer: (onStream) =>
      createServer((_request, response) => {
        response.writeHead(200, HEAD)
        response.write(':\nretry: 3000\n')
        responses.add(response)
        const onClose = onStream({})
        response.on('close', () => {
          responses.delete(response)
          onClose()
        })
      }),
    publish(data) {
      // As long as an id of Spillway's.
      send(`event: ${NAME}\ndata: ${JSON.stringify(data)}\nid: 0123456789ab-${data.n}\n\n`, responses)
    },
  }
}

function writeToSockets(text, responses) {
  const chunk = Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`)
  for (const response of responses) response.socket.write(chunk)
}

export const contenders = {
  // The floor for one write for each event and client: bytes that are shared, chunk framing included, past the response.
  socket: () => byHand(writeToSockets),

  // The floor for one write for each turn and client: the same, of what was published within the turn.
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
      createServer: followChannel(channel),
      publish: (data) => channel.publish({ event: NAME, data }),
    }
  },

  'better-sse'() {
    const channel = createChannel()
    return {
      createServer: followBetterSse(channel),
      publish: (data) => channel.broadcast(data, NAME),
    }
  },
}
