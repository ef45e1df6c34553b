// Next calls this once for each server that starts, of either runtime.
export async function register() {
  if (process.env.NEXT_RUNTIME === 'nodejs') await import('./lib/start')
}
