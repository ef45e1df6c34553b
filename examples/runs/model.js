import { setTimeout as delay } from 'node:timers/promises'

/**
 * Stands in for a language model: yields the question, and then an answer word by word. The client of a real one
 * accepts a signal too, which aborts when the run is stopped, and not when a reader disconnects.
 *
 * @param {string} question
 * @param {AbortSignal} signal
 */
export async function* answer(question, signal) {
  yield { event: 'question', data: question }
  for (const word of TEXT.match(/\S+\s*/g) ?? []) {
    await delay(PACE, undefined, { signal })
    yield { event: 'word', data: word }
  }
}

const PACE = Number(process.env.PACE_MS ?? 100)

const TEXT = [
  'A spillway releases the water that a dam cannot hold, so that the dam stands. Most of the time it is dry.',
  'When the water rises, it flows over a crest, down a chute, and into a basin that takes its force.',
  'What has flowed over the crest is not lost: it reaches the river below, a little later, and all of it.',
].join(' ')
