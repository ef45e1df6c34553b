import { Charts } from './charts.js'

const element = (id) => document.getElementById(id)
const show = (id, text) => {
  element(id).textContent = text
}

// Identifies the connection of this page in a request that cuts it.
const client = crypto.randomUUID()
const source = new EventSource(`/events?client=${client}`)
const charts = new Charts()

/** Ids in the order of arrival. Only the last ones are kept, because a day has 345 600. */
const ids = []
const MAX_IDS = 2_000
const counts = { events: 0, resumes: 0, gaps: 0, irregular: 0 }
// True from a reconnect until the first sample after it.
let hasReconnected = false
// The sequence number of the last event that is replayed on this connection.
let replayedUpTo = 0
let lastSequence
let lostAt

source.onopen = () => setState('live')
source.onerror = () => {
  lostAt ??= performance.now()
  // The browser reconnects by itself, unless the response was not an event stream.
  setState(source.readyState === EventSource.CLOSED ? 'closed' : 'reconnecting')
}

// The first event of every connection. Events after `latest` are live.
source.addEventListener('hello', ({ data }) => {
  hasReconnected = lastSequence !== undefined
  replayedUpTo = hasReconnected ? sequenceOf(JSON.parse(data).latest) : 0
})

source.addEventListener('gap', () => {
  count('gaps')
  hasReconnected = false
  replayedUpTo = 0
  lastSequence = undefined
  charts.breakLines()
  showStory(
    `Reconnected after ${secondsOffline()} s with a gap: the server no longer knows the last event id.`,
  )
})

source.addEventListener('sample', ({ data, lastEventId }) => {
  // A gap would have been reported before this.
  if (hasReconnected) resumed()
  count('events')
  checkOrder(lastEventId)
  charts.add(JSON.parse(data), lastSequence <= replayedUpTo)
})

function resumed() {
  hasReconnected = false
  const missed = replayedUpTo - lastSequence
  count('resumes')
  show('replayed', missed)
  showStory(
    `Resumed after ${secondsOffline()} s. ${missed} missed events were replayed; they are shaded in the charts.`,
  )
}

element('drop').onclick = async () => {
  showStory('Connection dropped. The browser reconnects by itself and sends the id of its last event.')
  const response = await fetch(`/drop?client=${client}`, { method: 'POST' }).catch(() => undefined)
  if (!response?.ok) showStory('The server could not drop this connection, because it is not open.')
}

// An id is an epoch and a sequence number. Numbers are consecutive within an epoch, because the hub has one channel.
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
    showStory('Connected. The last minute was sent first; new samples arrive live.')
  element('state').dataset.state = state
  show('state', state)
  element('drop').disabled = state !== 'live'
}

function showStory(story) {
  show('story', story)
}

function secondsOffline() {
  const seconds = (performance.now() - (lostAt ?? performance.now())) / 1000
  lostAt = undefined
  return seconds.toFixed(1)
}

// For the browser's console and for the test.
window.dashboard = { ids, counts }
