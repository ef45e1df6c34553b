import { createSseResponse } from 'spillway'
import { answer } from '../../lib/model'
import { runs } from '../../lib/runs'

// Starts a run, and streams it to the client that sent the request. The run continues when that client disconnects.
export async function POST(request: Request) {
  const question = await request.text()
  const run = await runs.start(crypto.randomUUID(), (signal) => answer(question, signal))
  const headers = { Location: `/answers/${run.id}` }
  return createSseResponse(request, (stream) => run.subscribe(stream), { headers })
}
