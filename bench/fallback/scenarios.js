import { setTimeout as pause } from 'node:timers/promises'

/** Repeats a disturbance, with time before and after it. */
async function repeat(times, ms, disturb) {
  for (let i = 0; i < times; i++) {
    await pause(ms)
    await disturb()
  }
  await pause(ms)
}

const slow = (from, to, bytesPerSecond) => ({ from, to, bytesPerSecond })
const drain = (run) => run.server.ask('drain')

/** Stops the clients while they wait for a connection, or soon after it. */
async function drainAndSleep(run) {
  await drain(run)
  await pause(300 + Math.random() * 700)
  await run.sleep(3500)
}

async function stall(run) {
  await run.network.ask('stall', 2000)
  await pause(2000)
}

/**
 * What happens to the sessions. `server` has the options of the server, and `network` is between it and the clients.
 * `missed` events are published before the sessions begin, and then one each `interval` ms. `connecting` runs before
 * the clients are connected, and `play` afterwards. A heartbeat is sent each second.
 */
const OVER_HTTP1 = {
  'graceful restart': { play: (run) => repeat(2, 1500, () => run.restart()) },
  'kill -9 and restart': { play: (run) => repeat(2, 1500, () => run.kill()) },
  drain: { play: (run) => repeat(5, 1000, () => drain(run)) },
  'maxDuration of 1 s': { server: { maxDuration: 1000 }, play: () => pause(6000) },
  'close({ retry }) after 700 ms': { server: { streamFor: 700 }, play: () => pause(6000) },
  'catch-up of 4 000 events': { missed: 4000, play: () => pause(3000) },
  '3G, 100 to 400 ms each way': {
    network: slow(100, 400, 50_000),
    play: (run) => repeat(2, 3000, () => drain(run)),
  },
  '3G, and a catch-up of 4 000 events': {
    missed: 4000,
    network: slow(100, 400, 50_000),
    play: () => pause(6000),
  },
  '2G, 300 to 700 ms each way': {
    network: slow(300, 700, 10_000),
    play: (run) => repeat(2, 4000, () => drain(run)),
  },
  'network stalls of 2 s': {
    network: slow(20, 60, 1_000_000),
    play: (run) => repeat(3, 1500, () => stall(run)),
  },
  'sleep of 3.5 s': { play: (run) => repeat(2, 1500, () => run.sleep(3500)) },
  'sleep of 3.5 s while connecting': {
    server: { headersAfter: 300 },
    connecting: (run) => run.sleep(3500),
    play: (run) => repeat(2, 1000, () => drainAndSleep(run)),
  },
  'sleep of 3.5 s during kill -9': {
    play: (run) => repeat(2, 1500, () => run.sleep(3500, () => run.crash())),
  },
  'bursts of 100 events': { interval: undefined, play: (run) => repeat(4, 2000, () => run.publish(100)) },
  'server blocked for 1.8 s': { play: (run) => repeat(3, 1200, () => run.server.ask('block', 1800)) },
  'headers after 1 to 1.5 s': {
    server: { headersAfter: 1000 },
    play: (run) => repeat(2, 3000, () => drain(run)),
  },
  'headers after 2.5 to 3.75 s': {
    server: { headersAfter: 2500 },
    play: (run) => repeat(1, 2000, () => drain(run)),
  },
}

const REPEATED = [
  'graceful restart',
  'kill -9 and restart',
  'drain',
  'maxDuration of 1 s',
  'catch-up of 4 000 events',
  '3G, 100 to 400 ms each way',
  'network stalls of 2 s',
  'sleep of 3.5 s',
  'bursts of 100 events',
]

const over = (name, http2) =>
  Object.fromEntries(REPEATED.map((scenario) => [`${name}: ${scenario}`, { ...OVER_HTTP1[scenario], http2 }]))

/** The scenarios over HTTP/1.1, and some of them over HTTP/2 to Node.js and to nginx. */
export const SCENARIOS = { ...OVER_HTTP1, ...over('HTTP/2', 'node'), ...over('nginx with HTTP/2', 'nginx') }
