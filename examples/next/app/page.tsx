import Link from 'next/link'
import { Completion } from './completion'
import { Latest } from './latest'

export default function Page() {
  return (
    <main>
      <h1>Streams on Next</h1>
      <dl>
        <Latest url="/events" event="price" />
        <Latest url="/rooms/lobby" event="said" />
        <Latest url="/time" />
        <Latest url="/api/uptime" />
      </dl>
      <Completion />
      <Link href="/runs">Answers that outlive their tab</Link>
    </main>
  )
}
