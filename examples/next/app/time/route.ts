import { sse } from 'spillway/next'

// Uses no hub, because requests on the edge runtime do not share a process.
export const runtime = 'edge'

export const GET = sse((stream) => {
  const timer = setInterval(() => stream.send({ data: new Date() }), 1000)
  stream.on('close', (reason) => {
    clearInterval(timer)
    console.log(`/time: ${reason}`)
  })
})
