import { sse } from 'spillway/next'
import { hub } from '../../../lib/hub'

interface RoomEvents {
  said: string
}

export const GET = sse<RoomEvents, { id: string }>(async (stream, _request, { params }) => {
  const { id } = await params
  hub.subscribe(stream, `room:${id}`)
})

export async function POST(request: Request, { params }: { params: Promise<{ id: string }> }) {
  const { id } = await params
  const eventId = await hub.channel(`room:${id}`).publish({ event: 'said', data: await request.text() })
  return Response.json({ eventId }, { status: 201 })
}
