import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { buildSpillway } from '../lib/build.js'
import { printSetting, printTable } from '../lib/report.js'

// The third value of `net.ipv4.tcp_wmem`, in bytes. The first is the default of Linux.
const LIMITS = [4_194_304, 1_048_576, 262_144, 65_536]
const KIB = 1024

buildSpillway()
printSetting('stalled-clients: the memory of the kernel for each client that has read 4 MiB and then stops')
const rows = LIMITS.map((limit) => {
  const { accepted, sendBuffer, receiveBuffer, allocated } = measureIn(limit)
  return [
    `4096 16384 ${limit}`,
    ...[accepted, sendBuffer, receiveBuffer, allocated].map((n) => (n / KIB).toFixed(0)),
  ]
})
printTable(
  ['KiB a client, by net.ipv4.tcp_wmem', 'accepted', 'send buffer', 'receive buffer', 'sockstat'],
  rows,
)

// A network namespace has its own `tcp_wmem`, so that the machine keeps its setting.
function measureIn(limit) {
  const settings = [
    `echo 4096 16384 ${limit} > /proc/sys/net/ipv4/tcp_wmem`,
    // The default of Linux, for the clients.
    'echo 4096 131072 6291456 > /proc/sys/net/ipv4/tcp_rmem',
  ]
  const script = ['ip link set lo up', ...settings, 'exec "$@"'].join(' && ')
  const measure = fileURLToPath(new URL('./measure.js', import.meta.url))
  const command = ['-c', script, 'sh', process.execPath, measure]
  const user = process.getuid() === 0 ? [] : ['--map-root-user']
  const output = execFileSync('unshare', [...user, '--net', 'sh', ...command], { encoding: 'utf8' })
  return JSON.parse(output)
}
