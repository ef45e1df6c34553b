'use client'

import { useEffect, useState } from 'react'

/** The latest event of a stream. The browser reconnects, and says from where, by itself. */
export function Latest({ url, event = 'message' }: { url: string; event?: string }) {
  const [data, setData] = useState('nothing yet')

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
