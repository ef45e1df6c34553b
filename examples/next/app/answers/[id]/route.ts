import { type RouteContext, sse } from 'spillway/next'
import { runs } from '../../../lib/runs'

export const GET = sse(async (stream, _request, { params }: RouteContext<{ id: string }>) => {
  const { id } = await params
  await runs.subscribe(stream, id)
})

export async function DELETE(_request: Request, { params }: RouteContext<{ id: string }>) {
  const { id } = await params
  await runs.stop(id)
  return new Response(null, { status: 204 })
}
