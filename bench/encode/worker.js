import { respond } from '../lib/child.js'
import { cases, contenders } from './contenders.js'

const encode = contenders[process.argv[2]]()
const sink = Buffer.alloc(64 * 1024)

// The text may be a rope that is not flattened yet. A stream needs bytes.
const sinks = {
  text: (text) => text.length,
  bytes: (text) => sink.write(text),
}

// Several events, created before the measurement, so that only the encoding is measured.
const events = new Map(
  Object.entries(cases).map(([name, make]) => [name, Array.from({ length: 64 }, (_, i) => make(i))]),
)

/** Encodes for `duration` ms. Returns the CPU time per event in ns, and the bytes of the last event. */
function run({ name, into, duration }) {
  const [list, take] = [events.get(name), sinks[into]]
  let [count, size] = [0, 0]
  const until = performance.now() + duration
  const mark = process.cpuUsage()
  while (performance.now() < until) {
    for (const event of list) size = take(encode(event))
    count += list.length
  }
  const { user, system } = process.cpuUsage(mark)
  if (!encode(list[0]).endsWith('\n\n')) throw new Error('The encoder does not return a complete event.')
  return { ns: ((user + system) * 1000) / count, size }
}

respond({ run })
