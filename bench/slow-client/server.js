import { serve } from '../lib/server.js'

/** Publishes text of `size` bytes, which ends with the time, to all streams every `interval` ms. */
function publish(streams, { count, size, interval }) {
  const filler = 'x'.repeat(size)
  return new Promise((resolve) => {
    let published = 0
    const timer = setInterval(() => {
      const text = `{"text":"${filler}","at":"${process.hrtime.bigint()}"}`
      for (const stream of streams) stream.send(text)
      published += 1
      if (published < count) return
      clearInterval(timer)
      resolve()
    }, interval)
  })
}

await serve({ publish })
