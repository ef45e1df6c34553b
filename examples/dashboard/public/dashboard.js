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
// Set from a reconnection to the first sample after it.
let isBack = false
// What the hub replays on this connection ends here.
let replayedUpTo = 0
let lastSequence
let lostAt

source.onopen = () => setState('live')
source.onerror = () => {
  lostAt ??= performance.now()
  // The browser reconnects by itself, unless the answer was not an event stream.
  setState(source.readyState === EventSource.CLOSED ? 'closed' : 'reconnecting')
}

// Comes first on every connection, and says where what is live begins.
source.addEventListener('hello', ({ data }) => {
  isBack = lastSequence !== undefined
  replayedUpTo = isBack ? sequenceOf(JSON.parse(data).latest) : 0
})

source.addEventListener('gap', () => {
  count('gaps')
  isBack = false
  replayedUpTo = 0
  lastSequence = undefined
  charts.breakLines()
  tell(`Back after ${secondsAway()} s with a gap: the server does not know the last event id any more.`)
})

source.addEventListener('sample', ({ data, lastEventId }) => {
  // A gap would have been told before.
  if (isBack) resumed()
  count('events')
  checkOrder(lastEventId)
  charts.add(JSON.parse(data), lastSequence <= replayedUpTo)
})

function resumed() {
  isBack = false
  const missed = replayedUpTo - lastSequence
  count('resumes')
  show('replayed', missed)
  tell(`Resumed after ${secondsAway()} s: ${missed} missed events were replayed, shaded in the charts.`)
}

element('drop').onclick = async () => {
  tell('Connection dropped. The browser reconnects by itself and says which event it received last.')
  const answer = await fetch(`/drop?client=${client}`, { method: 'POST' }).catch(() => undefined)
  if (!answer?.ok) tell('The server could not drop this connection: it does not know it.')
}

// An id is an epoch and a sequence. Within an epoch each sequence follows the one before: the hub has one channel.
function sequenceOf(id) {
  return Number(id?.split('-').at(-1) ?? 0)
}

function checkOrder(id) {
  const sequence = sequenceOf(id)
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
