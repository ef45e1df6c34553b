import { answer } from '../lib/child.js'
import { cases, contenders } from './contenders.js'

const encode = contenders[process.argv[2]]()
const sink = Buffer.alloc(64 * 1024)

// Text alone may be a rope that nobody has joined yet: what a stream needs is bytes.
const sinks = {
  text: (text) => text.length,
  bytes: (text) => sink.write(text),
}

// Several events, made before the clock starts: what is measured is the encoding alone.
const events = new Map(
  Object.entries(cases).map(([name, make]) => [name, Array.from({ length: 64 }, (_, i) => make(i))]),
)

/** Encodes for so many ms. Returns CPU nanoseconds an event, and the bytes of the last one. */
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
  if (!encode(list[0]).endsWith('\n\n')) throw new Error('What it encodes is no whole event.')
  return { ns: ((user + system) * 1000) / count, size }
}

answer({ run })
