import { setTimeout as pause } from 'node:timers/promises'

const TEXT = [
  'A spillway releases the water that a dam cannot hold, so that the dam stands. Most of the time it is dry.',
  'When the water rises, it flows over a crest, down a chute, and into a basin that takes its force.',
  'What has flowed over the crest is not lost: it reaches the river below, a little later, and all of it.',
].join(' ')

/** Stands in for a language model. Its signal aborts when the run is stopped, and not when a reader disconnects. */
export async function* answer(question: string, signal: AbortSignal) {
  yield { event: 'question', data: question }
  for (const word of TEXT.split(/(?<= )/)) {
    await pause(100, undefined, { signal })
    yield { event: 'word', data: word }
  }
}
