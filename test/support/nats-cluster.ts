import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Broker, freePort } from '../../support/broker.js'

/** Starts a cluster of NATS servers with JetStream. The caller ends each of them. */
export async function startNatsCluster(size: number): Promise<Broker[]> {
  const ports = await Promise.all(Array.from({ length: size }, freePort))
  const routePorts = await Promise.all(Array.from({ length: size }, freePort))
  const routes = routePorts.map((port) => `nats://127.0.0.1:${port}`)
  const brokers = ports.map(
    (port, i) =>
      new Broker(port, ({ folder }) => {
        const file = join(folder, 'nats.conf')
        const lines = [
          `listen: "127.0.0.1:${port}"`,
          `server_name: "server-${port}"`,
          `jetstream: { store_dir: ${JSON.stringify(folder)} }`,
          `cluster: { name: "test", listen: "127.0.0.1:${routePorts[i]}", routes: ${JSON.stringify(routes)} }`,
        ]
        writeFileSync(file, `${lines.join('\n')}\n`)
        return ['nats-server', '--config', file]
      }),
  )
  await Promise.all(brokers.map((broker) => broker.start()))
  return brokers
}
