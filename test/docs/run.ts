import { execFile } from 'node:child_process'
import { type Block, root } from './pages.ts'
import { toJavaScript } from './type-check.ts'

export interface SampleRequest {
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** The response of a sample, up to its first event with data. */
export interface SampleResponse {
  readonly status: number
  readonly type: string
  /** The first `data:` line. Undefined if the response ended without one. */
  readonly data?: string
}

/**
 * Runs a sample in the root folder and sends one request to its server, if it has one. Resolves with what it wrote to
 * stderr.
 */
export function errorOutputOf(code: string): Promise<string> {
  const request = `.listen(0, function () {
    fetch('http://127.0.0.1:' + this.address().port, { headers: { 'Last-Event-ID': '1' } })
      .then((response) => response.text(), () => {})
      .finally(() => this.close().closeAllConnections())
  })`
  const args = ['--input-type=module', '--eval', code.replace('.listen(3000)', request)]
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: root, timeout: 30_000 }, (_, __, stderr) => resolve(stderr))
  })
}

// Listens on a free port instead of the sample's, sends the request, reads up to the first data and exits.
const REQUEST_ONCE = `
import net from 'node:net'
const { path, ...init } = JSON.parse(process.env.SAMPLE_REQUEST)
const { listen } = net.Server.prototype
net.Server.prototype.listen = function (...args) {
  this.once('listening', async () => {
    const headers = { accept: 'text/event-stream', ...init.headers }
    const response = await fetch('http://127.0.0.1:' + this.address().port + path, { ...init, headers })
    let [all, text] = ['', '']
    for await (const bytes of response.body ?? []) {
      all += Buffer.from(bytes)
      // The position that a hub sends first is no data of the sample.
      text = all.replace(/^id: .*\\nevent: position\\ndata: .*\\n\\n/gm, '')
      if (/^data:.*\\n/m.test(text)) break
    }
    const { status } = response
    const result = { status, type: response.headers.get('content-type'), data: /^data: ?(.*)/m.exec(text)?.[1] }
    process.stdout.write('\\n' + JSON.stringify(result))
    process.exit()
  })
  return listen.call(this, 0, '127.0.0.1', ...args.filter((each) => typeof each === 'function'))
}`

/** Runs a sample that listens and sends it a request. Resolves with stderr if the sample fails or never responds. */
export function responseOf(
  { language, code }: Pick<Block, 'language' | 'code'>,
  request: SampleRequest = {},
): Promise<SampleResponse | string> {
  const script = language === 'ts' ? toJavaScript(code) : code
  const preload = `data:text/javascript,${encodeURIComponent(REQUEST_ONCE)}`
  const args = ['--import', preload, '--input-type=module', '--eval', script]
  const SAMPLE_REQUEST = JSON.stringify({ path: streamPathIn(code), ...request })
  const env = { ...process.env, SAMPLE_REQUEST }
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: root, env, timeout: 30_000 }, (error, stdout, stderr) => {
      resolve(error ? stderr : JSON.parse(stdout.slice(stdout.lastIndexOf('\n'))))
    })
  })
}

/** Whether a sample starts a server. */
export function isListening(code: string): boolean {
  return /\blisten\(3000\)|\bport: 3000\b/.test(code)
}

/** Returns the request of a `curl` command. */
export function requestOf(curl: string): SampleRequest {
  const words = [...curl.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, word]) => quoted ?? word ?? '')
  const valuesOf = (flag: string) => words.filter((_, at) => words[at - 1] === flag)
  const [json] = valuesOf('--json')
  const [body = json] = valuesOf('-d')
  const headers = Object.fromEntries(valuesOf('-H').map((header) => header.split(': ')))
  const [, path = '/'] =
    /localhost:3000(\S*)/.exec(words.find((word) => word.includes('localhost:3000')) ?? '') ?? []
  return {
    path: path || '/',
    method: valuesOf('-X')[0] ?? (body === undefined ? 'GET' : 'POST'),
    headers: { accept: '*/*', ...(json && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body }),
  }
}

/** Returns the path of the stream in a sample: that of its `EventSource`, or that of its first route. */
function streamPathIn(code: string): string {
  const [, path = '/'] =
    /EventSource\('(\/[^']*)'\)/.exec(code) ?? /\.(?:get|all|use)\(\s*'(\/[^':]*)'/.exec(code) ?? []
  return path
}
