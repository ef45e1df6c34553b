import { runtimeContract } from './runtimes/contract.ts'
import { findRuntime } from './runtimes/runtime.ts'

const bun = findRuntime('bun')
const deno = findRuntime('deno')

runtimeContract({
  // Node runs the contract too, which shows that it demands the same as `contract.ts`.
  name: 'web, @hono/node-server in a process of its own',
  command: [process.execPath],
  cutsStalled: true,
  tellsOfCut: false,
  sendsHeadersAlone: true,
})

runtimeContract({
  name: 'web, Bun.serve',
  command: bun ? [bun] : undefined,
  cutsStalled: false,
  tellsOfCut: false,
  sendsHeadersAlone: false,
})

runtimeContract({
  name: 'web, Deno.serve',
  command: deno ? [deno, 'run', '--no-prompt', '--allow-net=127.0.0.1'] : undefined,
  cutsStalled: false,
  tellsOfCut: true,
  sendsHeadersAlone: true,
})
