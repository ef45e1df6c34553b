import type { NextApiRequest, NextApiResponse } from 'next'
import { createSseStream } from 'spillway'

// Declares that the response is sent after this function has returned.
export const config = { api: { externalResolver: true } }

export default function handler(request: NextApiRequest, response: NextApiResponse) {
  const stream = createSseStream(request, response)
  const timer = setInterval(() => stream.send({ data: process.uptime() }), 1000)
  stream.on('close', (reason) => {
    clearInterval(timer)
    console.log(`/api/uptime: ${reason}`)
  })
}
