// A deployment log that every reader gets from its first line, also after a reconnect or a late start.
// Run `node examples/runs/deploy-log.js`, then open the page that it prints, or `curl -N <url>/log`.

import { createServer } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { createSseStream, gracefulShutdown, Runs } from 'spillway'

const runs = new Runs()
const deployment = await runs.start('deployment-1', deploy)

const PAGE = `<!doctype html><title>Deployment</title><pre></pre><script type="module">
  const log = document.querySelector('pre')
  const source = new EventSource('/log')
  source.onmessage = ({ data }) => log.append(data, '\\n')
  source.addEventListener('end', ({ data }) => {
    source.close()
    log.append(JSON.parse(data).reason)
  })
</script>`

const server = createServer((request, response) => {
  const path = request.url?.split('?')[0]
  if (path === '/log') deployment.subscribe(createSseStream(request, response))
  else if (path === '/') response.setHeader('Content-Type', 'text/html').end(PAGE)
  else response.writeHead(404).end()
})

/**
 * Stands in for a deployment. The lines of a real one are those of a process, for example
 * `createInterface({ input: spawn('sh', ['deploy.sh'], { signal }).stdout })`.
 *
 * @param {AbortSignal} signal
 */
async function* deploy(signal) {
  const hosts = ['db', 'api', 'web'].flatMap((name) => [`${name}-1`, `${name}-2`])
  yield `Deploying to ${hosts.length} hosts`
  for (const host of hosts) {
    await delay(Number(process.env.PACE_MS ?? 1_000), undefined, { signal })
    yield `${host}: healthy`
  }
}

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`The log of the deployment is at http://localhost:${port}`)
})

gracefulShutdown({ server, runs })
