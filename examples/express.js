// Express: one URL streams new notes, lists all notes as JSON, and adds a note by POST.
// Run `node examples/express.js`, then open the stream, add a note in another terminal and list the notes. <url> is the
// URL that the example prints.
//
//   curl -N -H 'Accept: text/event-stream' <url>
//   curl -H 'Content-Type: application/json' -d '{"text":"hello"}' <url>
//   curl <url>

import express from 'express'
import { gracefulShutdown, Hub } from 'spillway'
import { sse } from 'spillway/express'

const hub = new Hub()
const channel = hub.channel('notes')
/** @type {string[]} */
const notes = []

const app = express()

app.get(
  '/notes',
  sse((stream) => channel.subscribe(stream), { negotiate: true }),
  (_request, response) => void response.json(notes),
)

app.post('/notes', express.json(), async (request, response) => {
  const text = String(request.body?.text)
  notes.push(text)
  const id = await channel.publish({ event: 'note', data: { text } })
  response.status(201).json({ id })
})

const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`The notes are at http://localhost:${port}/notes`)
})

gracefulShutdown({ server, hub })
