import { sectionOf } from '../../docs/pages.ts'

/** Returns the configurations under a heading of docs/proxies.md. */
export function samplesOf(heading: string): string[] {
  const blocks = sectionOf('docs/proxies.md', heading).matchAll(/^```\w+\n([\s\S]*?)^```$/gm)
  return [...blocks].map(([, lines = '']) => lines)
}

/** Returns a configuration with the port of a server of a test. */
export function withUpstream(lines: string, port: number): string {
  return lines.replace('127.0.0.1:3000', `127.0.0.1:${port}`)
}
