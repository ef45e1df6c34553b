import { contender, serve } from '../lib/server.js'
import { contenders, createServerOf } from './contenders.js'
import { play, yieldTimes } from './feeds.js'

const opened = await contenders[contender]()

await serve(
  {
    async start(_streams, { ids }) {
      for (const id of ids) await opened.start(id)
    },
    play: (_streams, pace) => play(pace),
    yieldTimes,
  },
  createServerOf(opened),
)
