import { serve } from './server.js'

// As a language model's pieces of words, a few bytes each.
const WORDS = ['Hello', ' world', ',', ' this', ' is', ' what', ' a', ' language', ' model', ' says', '.']
const token = (i) => ({ token: WORDS[i % WORDS.length] })

const nextTurn = (then) => setImmediate(then)
const nextTick = (then) => setTimeout(then, 1)

/** Tokens as they come: `perTurn` of them, then the event loop goes on. */
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

/** The same out of an async generator, which is what a model's client library hands over. */
async function* generate({ count, perTurn, wait }) {
  for (let i = 0; i < count; i++) {
    if (i > 0 && i % perTurn === 0) await new Promise((resolve) => wait(resolve))
    yield { data: token(i) }
  }
}

/** Serves the contender that the parent has named: one stream, which is sent tokens. */
export async function serveTokens(createServer) {
  await serve(
    {
      async tokens([stream], { way, pace, count, perTurn }) {
        const pacing = { count, perTurn, wait: pace === 'timer' ? nextTick : nextTurn }
        if (way === 'send') await push(stream, pacing)
        if (way === 'generator') await stream.sendFrom(generate(pacing))
      },
      end([stream]) {
        stream.end()
      },
    },
    createServer,
  )
}
