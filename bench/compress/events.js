// Realistic content, the same in every process, because a random choice of words and values decides how well it
// compresses.
let state = 1
const random = () => {
  state = (state * 1_103_515_245 + 12_345) & 0x7fffffff
  return state / 0x7fffffff
}
const pick = (list) => list[Math.floor(random() * list.length)]

const METRICS = ['cpu', 'memory', 'requests', 'errors', 'latency_p50', 'latency_p99', 'queue', 'sessions']
const WORDS = (
  'the of and to in is that it for was on are as with his they at be this from have or by one had not but ' +
  'what all were when we there can an your which their said if do will each about how up out them then she many some so ' +
  'these would other into has more her two like him see time could no make than first been its who now people my made'
).split(' ')

let n = 0

/** Returns some changed values of a dashboard, about 320 bytes of JSON. */
export function dashboardEvent() {
  n += 1
  const changes = METRICS.slice(0, 3 + Math.floor(random() * 5)).map((metric) => ({
    metric,
    value: Number((random() * 1000).toFixed(2)),
    unit: 'ms',
  }))
  return { at: new Date(1.7e12 + n * 1000).toISOString(), host: `web-${n % 8}`, changes, n }
}

/** Returns a token of a language model in the form of OpenAI, about 180 bytes of JSON. */
export function tokenEvent() {
  n += 1
  const choices = [{ index: 0, delta: { content: ` ${pick(WORDS)}` }, finish_reason: null }]
  return { id: 'chatcmpl-9xJ2k', object: 'chat.completion.chunk', created: 1_732_700_000, choices, n }
}
