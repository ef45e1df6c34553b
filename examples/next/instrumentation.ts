// Next calls this once per server that starts, in either runtime.
export async function register() {
  if (process.env.NEXT_RUNTIME === 'nodejs') await import('./lib/start')
}
