import { Charts } from './charts.js'

const element = (id) => document.getElementById(id)
const show = (id, text) => {
  element(id).textContent = text
}

// The name under which the server can be asked to cut this page's connection.
const client = crypto.randomUUID()
const source = new EventSource(`/events?client=${client}`)
const charts = new Charts()

/** Ids in the order of their arrival. A day has 345 600: only the last ones are kept. */
const ids = []
const MAX_IDS = 2_000
const counts = { events: 0, resumes: 0, gaps: 0, irregular: 0 }
let leftToReplay = 0
let lastSequence
let lostAt

source.onopen = () => setState('live')
source.onerror = () => {
  lostAt ??= performance.now()
  // The browser reconnects by itself, unless the answer was not an event stream.
  setState(source.readyState === EventSource.CLOSED ? 'closed' : 'reconnecting')
}

source.addEventListener('sample', ({ data, lastEventId }) => {
  count('events')
  checkOrder(lastEventId)
  charts.add(JSON.parse(data), leftToReplay > 0)
  if (leftToReplay > 0) leftToReplay -= 1
})

source.addEventListener('resume', ({ data }) => {
  count('resumes')
  leftToReplay = JSON.parse(data).missed
  show('replayed', leftToReplay)
  tell(`Resumed after ${secondsAway()} s: ${leftToReplay} missed events were replayed, shaded in the charts.`)
})

source.addEventListener('gap', () => {
  count('gaps')
  leftToReplay = 0
  lastSequence = undefined
  charts.breakLines()
  tell(`Back after ${secondsAway()} s with a gap: the server does not know the last event id any more.`)
})

element('drop').onclick = async () => {
  tell('Connection dropped. The browser reconnects by itself and says which event it received last.')
  const answer = await fetch(`/drop?client=${client}`, { method: 'POST' }).catch(() => undefined)
  if (!answer?.ok) tell('The server could not drop this connection: it does not know it.')
}

// Ids are an epoch and a sequence. Within an epoch each sequence follows the one before.
function checkOrder(id) {
  const sequence = Number(id.split('-').at(-1))
  if (lastSequence !== undefined && sequence !== lastSequence + 1) count('irregular')
  lastSequence = sequence
  ids.push(id)
  if (ids.length > MAX_IDS) ids.shift()
  show('last-event-id', id)
}

function count(name) {
  counts[name] += 1
  show(name, counts[name].toLocaleString('en'))
  element(name).dataset.count = counts[name]
}

function setState(state) {
  if (state === 'live' && ids.length === 0)
    tell('Connected: the last minute came first, the rest comes live.')
  element('state').dataset.state = state
  show('state', state)
  element('drop').disabled = state !== 'live'
}

function tell(story) {
  show('story', story)
}

function secondsAway() {
  const seconds = (performance.now() - (lostAt ?? performance.now())) / 1000
  lostAt = undefined
  return seconds.toFixed(1)
}

// For the curious, and for the test.
window.dashboard = { ids, counts }
