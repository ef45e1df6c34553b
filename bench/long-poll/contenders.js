import { createServer } from 'node:http'
import { createSseStream, Hub } from 'spillway'

// A list of tickets, of which each event changes one. Their numbers have a fixed length.
const TICKETS = 50
let newest = 1_000_000

/** Returns a ticket of about 120 bytes of JSON. */
function nextTicket() {
  newest += 1
  const ticket = { ticket: 1_000 + (newest % TICKETS), status: 'open', priority: 2, assignee: 'somebody' }
  return { ...ticket, title: 'The printer on the third floor is out of paper', n: newest }
}

/** Responds with the whole list, which `textOf` serializes. */
function snapshots(textOf) {
  const tickets = Array.from({ length: TICKETS }, nextTicket)
  return {
    createServer: () =>
      createServer((_request, response) => {
        const body = textOf({ tickets, n: newest })
        const length = Buffer.byteLength(body)
        response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': length })
        response.end(body)
      }),
    publish() {
      const ticket = nextTicket()
      tickets[ticket.n % TICKETS] = ticket
      return newest
    },
  }
}

/** Serializes each list once. */
function serializedOnce() {
  const last = {}
  return (list) => {
    if (last.n !== list.n) Object.assign(last, { n: list.n, text: JSON.stringify(list) })
    return last.text
  }
}

function longPolls(longPoll) {
  const channel = new Hub().channel('tickets')
  const options = { formats: ['event-stream', 'ndjson', 'json'], longPoll }
  return {
    createServer: () =>
      createServer((request, response) => {
        channel.subscribe(createSseStream(request, response, options))
      }),
    publish() {
      channel.publish({ event: 'ticket', data: nextTicket() })
      return newest
    },
  }
}

export const contenders = {
  snapshot: () => snapshots(JSON.stringify),
  'snapshot, serialized once': () => snapshots(serializedOnce()),
  'long poll': () => longPolls(),
  // As late as the snapshots.
  'long poll, collects 2 s': () => longPolls({ collect: 2_000 }),
}
