import { readOptions } from './options.js'
import { judge, save } from './report.js'
import { Soak } from './soak.js'

// Holds many streams of one hub for a given time, with one event a second, clients that reconnect and slow clients.
// Writes samples and plots of the resources that the server process needs. The exit code is 1 if a client has lost an
// event. It is also 1 if a figure grows within the second half of the time by more than `slope.js` allows.
//
// With `--server bare`, the same clients connect to a minimal server of `node:http`, for a comparison.

const MIB = 1024 * 1024
// A line is printed and the samples are written after each group of this many samples.
const PRINT_EVERY = 12

const options = readOptions(process.argv.slice(2))
const soak = new Soak(options, ({ samples }) => {
  if (samples.length % PRINT_EVERY === 0) printLast()
})
process.once('exit', () => soak.stop())
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

await soak.run()
save(soak, options)
process.exit(judge(soak, options) ? 0 : 1)

function printLast() {
  const { time, rss, heapUsed, handles, clients } = soak.samples.at(-1)
  const sizes = `resident ${mebibytes(rss)} MiB, heap used ${mebibytes(heapUsed)} MiB, ${handles} handles`
  console.error(`${Math.round(time)} s: ${sizes}, ${JSON.stringify(clients)}`)
  save(soak, options)
}

function mebibytes(bytes) {
  return (bytes / MIB).toFixed(1)
}
