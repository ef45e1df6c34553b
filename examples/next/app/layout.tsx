import type { ReactNode } from 'react'

export const metadata = { title: 'Streams on Next' }

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body style={{ font: '1rem/1.6 system-ui', margin: '2rem' }}>{children}</body>
    </html>
  )
}
