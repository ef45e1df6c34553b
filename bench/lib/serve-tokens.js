import { serve } from './server.js'

// Similar to the tokens of a language model, a few bytes each.
const WORDS = ['Hello', ' world', ',', ' this', ' is', ' what', ' a', ' language', ' model', ' says', '.']
const token = (i) => ({ token: WORDS[i % WORDS.length] })

const nextTurn = (callback) => setImmediate(callback)
const nextTick = (callback) => setTimeout(callback, 1)

/** Sends `perTurn` tokens in each turn of the event loop. */
function push({ send }, { count, perTurn, wait }) {
  return new Promise((resolve) => {
    let i = 0
    const turn = () => {
      for (let end = Math.min(count, i + perTurn); i < end; i++) send(token(i))
      if (i < count) wait(turn)
      else resolve()
    }
    turn()
  })
}

/** Yields the same tokens from an async generator, which is what client libraries of models return. */
async function* generate({ count, perTurn, wait }) {
  for (let i = 0; i < count; i++) {
    if (i > 0 && i % perTurn === 0) await new Promise((resolve) => wait(resolve))
    yield { data: token(i) }
  }
}

/** Serves the contender that the parent has selected. It sends tokens to one stream. */
export async function serveTokens(createServer) {
  await serve(
    {
      async tokens([stream], { method, pace, count, perTurn }) {
        const pacing = { count, perTurn, wait: pace === 'timer' ? nextTick : nextTurn }
        if (method === 'send') await push(stream, pacing)
        if (method === 'generator') await stream.sendFrom(generate(pacing))
      },
      end([stream]) {
        stream.end()
      },
    },
    createServer,
  )
}
