import { sse } from 'spillway/next'

// Without a hub: on the edge there is no process for it to live in.
export const runtime = 'edge'

export const GET = sse((stream) => {
  const timer = setInterval(() => stream.send({ data: new Date() }), 1000)
  stream.on('close', (reason) => {
    clearInterval(timer)
    console.log(`/time: ${reason}`)
  })
})
