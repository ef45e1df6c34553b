import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, listening } from './broker.js'

// Shared by the tests and the benchmarks. Written in JavaScript, so that each version of Node can run it.

/**
 * Where a proxy listens, where it forwards requests, and the folder of its files.
 *
 * @typedef {{ port: number, upstream: number, folder: string }} Place
 */

/**
 * Writes the configuration of a proxy into its folder, and returns the command that starts the proxy in the foreground.
 *
 * @typedef {(place: Place) => [program: string, ...args: string[]]} Configure
 */

// The PATH of a user may lack the folders of servers.
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` }

/** @type {Set<ProxyProcess>} */
const running = new Set()
process.once('exit', () => {
  for (const proxy of running) {
    proxy.kill()
    proxy.removeFiles()
  }
})

/** A process of a reverse proxy, with its own port and its own folder. */
export class ProxyProcess {
  folder = mkdtempSync(join(tmpdir(), 'spillway-proxy-'))
  /** @type {[program: string, ...args: string[]]} */
  #command
  /** @type {import('node:child_process').ChildProcess} */
  #process
  #errors = ''

  /**
   * @param {number} port
   * @param {number} upstream
   * @param {Configure} configure
   */
  constructor(port, upstream, configure) {
    this.port = port
    this.#command = configure({ port, upstream, folder: this.folder })
    this.#process = this.#spawn()
    running.add(this)
  }

  #spawn() {
    const [program, ...args] = this.#command
    const path = process.env[`${program.toUpperCase()}_PATH`] || program
    const child = spawn(path, args, { stdio: ['ignore', 'ignore', 'pipe'], env })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      this.#errors += text
    })
    return child
  }

  /** Resolves when the proxy accepts connections. */
  async started() {
    // Also rejects for an `error` event.
    const ended = once(this.#process, 'exit').then(([code]) => {
      throw new Error(`A proxy exited with ${code} before it listened on port ${this.port}.\n${this.#errors}`)
    })
    const attempts = new AbortController()
    await Promise.race([ended, listening(this.port, attempts.signal)]).finally(() => attempts.abort())
  }

  /** Stops the process and starts it again on its port. Resolves when it accepts connections. */
  async restart() {
    await this.#stop()
    this.#process = this.#spawn()
    await this.started()
  }

  /**
   * Sends a signal that reloads the configuration. With a text that the process then writes to its standard error, the
   * signal is repeated until it does: the master process of haproxy drops signals while its first worker already serves
   * requests.
   *
   * @param {NodeJS.Signals} name
   * @param {string} [notice]
   */
  async reload(name, notice) {
    const child = this.#process
    const stderr = /** @type {import('node:stream').Readable} */ (child.stderr)
    const written = this.#errors.length
    child.kill(name)
    if (notice === undefined) return
    const repeated = setInterval(() => child.kill(name), 2_000)
    const waiting = new AbortController()
    const ended = once(child, 'exit', waiting).then(([code]) => {
      throw new Error(`A proxy exited with ${code} when it was reloaded.\n${this.#errors}`)
    })
    try {
      while (!this.#errors.includes(notice, written)) {
        await Promise.race([ended, once(stderr, 'data', waiting)])
      }
    } finally {
      clearInterval(repeated)
      ended.catch(() => {})
      waiting.abort()
    }
  }

  /** Stops the process and deletes its files. Resolves when it has ended. */
  async end() {
    running.delete(this)
    await this.#stop()
    this.removeFiles()
  }

  async #stop() {
    const { exitCode, signalCode } = this.#process
    if (exitCode !== null || signalCode !== null) return
    const exit = once(this.#process, 'exit')
    this.kill()
    await exit
  }

  /** Stops the process without waiting for its end. */
  kill() {
    this.#process.kill('SIGTERM')
  }

  removeFiles() {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/**
 * Starts a proxy on a free port.
 *
 * @param {number} upstream
 * @param {Configure} configure
 */
async function launch(upstream, configure) {
  const proxy = new ProxyProcess(await freePort(), upstream, configure)
  try {
    await proxy.started()
  } catch (error) {
    await proxy.end()
    throw error
  }
  return proxy
}

/**
 * Writes a file into the folder of a proxy, and returns its path.
 *
 * @param {string} folder
 * @param {string} name
 * @param {string} text
 */
function write(folder, name, text) {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

/**
 * Lines of a configuration of nginx. `main`, `http`, `server` and `location` are added to these blocks, where `FOLDER`
 * is the folder of the proxy, and `listen` to the address. `tls` is the certificate.
 *
 * @typedef {{ main?: string, http?: string, server?: string, location?: string, listen?: string, tls?: Tls }} NginxLines
 * @typedef {{ key: string, cert: string }} Tls
 */

/**
 * @param {number} upstream
 * @param {NginxLines} [lines]
 */
export function launchNginx(upstream, lines = {}) {
  // The master process would run its workers as another user if it is started by root.
  const { main = 'master_process off;', http = '', server = '', location = '', listen = '', tls } = lines
  return launch(upstream, ({ port, folder }) => {
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (kind) => `${kind}_temp_path ${folder}/${kind};`,
    )
    const certificate = tls && [
      `ssl_certificate ${write(folder, 'cert.pem', tls.cert)};`,
      `ssl_certificate_key ${write(folder, 'key.pem', tls.key)};`,
    ]
    const configuration = `
      daemon off;
      ${main}
      pid ${folder}/nginx.pid;
      error_log stderr error;
      events { worker_connections 18000; }
      http {
        access_log off;
        ${temporary.join('\n')}
        ${http.replaceAll('FOLDER', folder)}
        server {
          listen 127.0.0.1:${port} backlog=16384 ${tls ? `ssl ${listen}` : listen};
          ${certificate?.join('\n') ?? ''}
          ${server}
          location / {
            proxy_pass http://127.0.0.1:${upstream};
            ${location}
          }
        }
      }`
    return ['nginx', '-p', folder, '-c', write(folder, 'nginx.conf', configuration)]
  })
}

/**
 * Starts haproxy with the timeouts of Debian's configuration, unless lines for its section `defaults` override them.
 * `args` of the command line.
 *
 * @param {number} upstream
 * @param {{ global?: string, defaults?: string, bind?: string, args?: string[] }} [lines]
 */
export function launchHaproxy(
  upstream,
  { global = '', defaults = '', bind = '', args = ['-db', '-q'] } = {},
) {
  return launch(upstream, ({ port, folder }) => {
    const configuration = `
global
  maxconn 4000
  ${global}
defaults
  mode http
  timeout connect 5000
  timeout client 50000
  timeout server 50000
  ${defaults}
frontend public
  bind 127.0.0.1:${port} ${bind}
  default_backend servers
backend servers
  server node 127.0.0.1:${upstream}
`
    return ['haproxy', ...args, '-f', write(folder, 'haproxy.cfg', configuration)]
  })
}

/**
 * Starts varnish with subroutines in VCL and arguments of the command line.
 *
 * @param {number} upstream
 * @param {{ vcl?: string, args?: string[] }} [lines]
 */
export function launchVarnish(upstream, { vcl = '', args = [] } = {}) {
  return launch(upstream, ({ port, folder }) => {
    const work = join(folder, 'work')
    mkdirSync(work)
    const configuration = `vcl 4.1;\nbackend default { .host = "127.0.0.1"; .port = "${upstream}"; }\n${vcl}\n`
    const file = write(folder, 'default.vcl', configuration)
    return [
      'varnishd',
      // No jail, because it needs another user, and no port for administration.
      ...['-F', '-j', 'none', '-T', 'none', '-n', work],
      ...['-a', `127.0.0.1:${port}`, '-f', file, '-s', 'malloc,64m', ...args],
    ]
  })
}

/**
 * @param {number} upstream
 * @param {{ server?: string, host?: string }} [lines] added to the configuration, and to the upstream in `proxy.server`
 */
export function launchLighttpd(upstream, { server = '', host = '' } = {}) {
  return launch(upstream, ({ port, folder }) => {
    const configuration = `
server.document-root = "${folder}"
server.upload-dirs = ("${folder}")
server.bind = "127.0.0.1"
server.port = ${port}
server.modules = ("mod_proxy")
proxy.server = ("" => (("host" => "127.0.0.1", "port" => ${upstream} ${host && `, ${host}`})))
${server}
`
    return ['lighttpd', '-D', '-f', write(folder, 'lighttpd.conf', configuration)]
  })
}
