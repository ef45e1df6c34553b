import { topicOfSpillway } from '../lib/topics.js'

const options = { formats: ['event-stream', 'ndjson'] }

// The same route for both. The clients choose the format.
export const contenders = {
  'event stream': () => topicOfSpillway(undefined, undefined, options),
  NDJSON: () => topicOfSpillway(undefined, undefined, options),
}
