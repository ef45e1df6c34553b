'use client'

import { useEffect, useState } from 'react'

/** Shows the latest event of a stream. The browser reconnects by itself and sends the last event id. */
export function Latest({ url, event = 'message' }: { url: string; event?: string }) {
  const [data, setData] = useState('no event yet')

  useEffect(() => {
    const source = new EventSource(url)
    source.addEventListener(event, (message) => setData(message.data))
    return () => source.close()
  }, [url, event])

  return (
    <>
      <dt>{url}</dt>
      <dd>{data}</dd>
    </>
  )
}
