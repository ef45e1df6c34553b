/** Blocks the event loop, as a long computation does. Nothing is read from sockets meanwhile. */
export function block(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until; );
}
