import { connect } from '/client/index.js'

const element = (id) => document.getElementById(id)
const show = (id, text) => {
  element(id).textContent = text
}

// Each event has to be the count after this one, also the first event and those after a change of the transport.
let count = Number(element('count').textContent)
let skips = 0

// Only the tab that holds the connection sends requests: one for a stream, one for a poll, or both for a moment. Their
// signals are aborted when the tab no longer holds it.
const signals = {}

const { lastEventId } = element('count').dataset
const source = connect('/events', { share: true, lastEventId, fetch: fetchEvents })

source.addEventListener('count', ({ data }) => {
  const { count: next, streams } = JSON.parse(data)
  if (count !== undefined && next !== count + 1) show('skips', ++skips)
  count = next
  show('count', count)
  show('streams', streams)
})

source.addEventListener('transport', ({ transport, reason }) => {
  show('transport', transport)
  addChange(reason ? `${transport}, because of ${reason}` : transport)
  // The last poll may have ended before the stream replaced it.
  if (transport === 'event-stream') delete signals['application/json']
})

source.addEventListener('open', showHolder)

source.addEventListener('error', ({ error }) => {
  addChange(error ? `connection lost: ${error.message}` : 'connection ended by the server')
  showHolder()
})

source.addEventListener('gap', ({ data }) => {
  // The server was restarted, and its count begins again.
  count = undefined
  addChange(`gap: ${data}`)
})

function addChange(text) {
  const item = document.createElement('li')
  item.textContent = `${new Date().toLocaleTimeString()} ${text}`
  element('changes').prepend(item)
  element('changes').children[10]?.remove()
}

function fetchEvents(url, init) {
  signals[init.headers.get('accept')] = init.signal
  init.signal.addEventListener('abort', showHolder)
  showHolder()
  return fetch(url, init)
}

function showHolder() {
  const isHolder = Object.values(signals).some(({ aborted }) => !aborted)
  const holder = isHolder ? 'this tab' : 'another tab'
  show('holder', source.readyState === source.OPEN ? holder : 'no tab')
}
