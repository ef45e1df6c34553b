import { expect } from 'vitest'
import { openInNode } from '../support/proxies/client-session.ts'
import { reloadContract, restartContract } from '../support/proxies/restart-contract.ts'
import { BUFFERING, type ProxySetup, RELOADING, STREAMING } from '../support/proxies/setups.ts'

const RESTARTED = [
  'nginx',
  'nginx with HTTP/1.1 to the server',
  'haproxy with http-no-delay',
  'varnish',
  'lighttpd with stream-response-body',
]
// The gateway is no process of its own.
const isProcess = ({ name }: ProxySetup) => !name.includes('gateway')

restartContract(
  STREAMING.filter(({ name }) => RESTARTED.includes(name)),
  openInNode,
)
restartContract(BUFFERING.filter(isProcess), openInNode, {
  transport: 'json',
  reason: expect.stringMatching(/^no-(headers|first-byte)$/),
})
// The `fetch` of Node.js has no HTTP/2.
reloadContract(
  RELOADING.filter(({ protocol }) => protocol === 'http'),
  openInNode,
)
