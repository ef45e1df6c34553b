import { generate } from 'selfsigned'
import { launchHaproxy, launchLighttpd, launchNginx, launchVarnish } from '../../../support/proxies.js'
import { requireProgram } from '../program.ts'
import type { Protocol } from '../serve.ts'
import { startGateway } from './gateway.ts'
import { samplesOf, withUpstream } from './samples.ts'

export interface RunningProxy {
  readonly port: number
  /** Stops the process and starts it again. The gateway of the tests is no process. */
  restart?(): Promise<void>
  reload?(signal: NodeJS.Signals, notice?: string): Promise<void>
  end(): Promise<void>
}

/** A proxy in a configuration. */
export interface ProxySetup {
  readonly name: string
  /** The protocol of its clients. */
  readonly protocol: Protocol
  /** Whether its program is installed. */
  readonly isInstalled: boolean
  /** Whether a client cannot tell a cut of the upstream connection from an end. */
  readonly hidesCuts?: boolean
  /** Whether it compresses event streams in spite of `no-transform`. */
  readonly compresses?: boolean
  start(upstream: number): Promise<RunningProxy>
}

const has = (command: string, name = command) =>
  requireProgram({ commands: [command], install: `apt-get install ${name}` }) !== undefined

const installed = {
  nginx: has('nginx'),
  haproxy: has('haproxy'),
  varnish: has('varnishd', 'varnish'),
  lighttpd: has('lighttpd'),
}

export type Program = keyof typeof installed

export function isInstalled(program: Program): boolean {
  return installed[program]
}

type Start = ProxySetup['start']
type Traits = Partial<Pick<ProxySetup, 'protocol' | 'hidesCuts' | 'compresses'>>

function setup(program: Program, configuration: string, start: Start, traits: Traits = {}): ProxySetup {
  const name = configuration === '' ? program : `${program} ${configuration}`
  return { name, protocol: 'http', isInstalled: installed[program], start, ...traits }
}

const EVENT_STREAM_GZIP = 'gzip on; gzip_types text/event-stream; gzip_min_length 0; gzip_proxied any;'
const HTTP_1_1 = 'proxy_http_version 1.1; proxy_set_header Connection "";'
const PIPE = 'sub vcl_recv { if (req.http.Accept ~ "text/event-stream") { return (pipe); } }'
const CACHE = 'proxy_cache_path FOLDER/cache keys_zone=pages:4m;'

async function startNginxWithHttp2(upstream: number, main?: string): Promise<RunningProxy> {
  const pem = await generate([{ name: 'commonName', value: 'localhost' }], { keyType: 'ec' })
  const lines = { listen: 'http2', tls: { key: pem.private, cert: pem.cert } }
  return launchNginx(upstream, main === undefined ? lines : { ...lines, main })
}

/** Proxies that pass events on at once because of the headers of a stream. Nothing else has to be configured. */
export const STREAMING: readonly ProxySetup[] = [
  // HTTP/1.0 to the server, the default. The end of the connection is the end of the body.
  setup('nginx', '', (upstream) => launchNginx(upstream), { hidesCuts: true }),
  setup('nginx', 'with HTTP/1.1 to the server', (upstream) => launchNginx(upstream, { location: HTTP_1_1 })),
  setup(
    'nginx',
    'with gzip for event streams',
    (upstream) => launchNginx(upstream, { http: EVENT_STREAM_GZIP }),
    { hidesCuts: true, compresses: true },
  ),
  setup(
    'nginx',
    'with a cache',
    (upstream) =>
      launchNginx(upstream, { http: CACHE, location: 'proxy_cache pages; proxy_cache_valid 200 1m;' }),
    { hidesCuts: true },
  ),
  setup('nginx', 'with HTTP/2 to the client', (upstream) => startNginxWithHttp2(upstream), {
    protocol: 'h2',
    hidesCuts: true,
  }),
  setup('haproxy', 'with http-no-delay', (upstream) =>
    launchHaproxy(upstream, { defaults: 'option http-no-delay' }),
  ),
  setup('haproxy', 'with compression', (upstream) =>
    launchHaproxy(upstream, {
      defaults: 'option http-no-delay\n  compression algo gzip\n  compression type text/event-stream',
    }),
  ),
  setup('haproxy', 'with HTTP/2 to the client', (upstream) => launchHaproxy(upstream, { bind: 'proto h2' }), {
    protocol: 'h2c',
    hidesCuts: true,
  }),
  setup('varnish', '', (upstream) => launchVarnish(upstream)),
  setup('varnish', 'with a pipe for event streams', (upstream) => launchVarnish(upstream, { vcl: PIPE })),
  setup('varnish', 'with gzip unless no-transform', (upstream) =>
    launchVarnish(upstream, {
      vcl: `sub vcl_backend_response {
        if (beresp.http.Cache-Control !~ "no-transform") { set beresp.do_gzip = true; }
      }`,
    }),
  ),
  setup('lighttpd', 'with stream-response-body', (upstream) =>
    launchLighttpd(upstream, { server: 'server.stream-response-body = 1' }),
  ),
]

const TESTED_IN_BROWSERS = [
  'nginx',
  'nginx with gzip for event streams',
  'nginx with HTTP/2 to the client',
  'haproxy with http-no-delay',
  'varnish',
  'lighttpd with stream-response-body',
]

/** Some of `STREAMING`, for tests in browsers. */
export const IN_BROWSERS = STREAMING.filter(({ name }) => TESTED_IN_BROWSERS.includes(name))

/** Proxies that hold events whatever the headers of a stream are. Only their configuration changes that. */
export const BUFFERING: readonly ProxySetup[] = [
  setup('nginx', 'with X-Accel-Buffering ignored', (upstream) =>
    launchNginx(upstream, { location: 'proxy_ignore_headers X-Accel-Buffering;' }),
  ),
  setup('varnish', 'with gzip for event streams', (upstream) =>
    launchVarnish(upstream, { vcl: 'sub vcl_backend_response { set beresp.do_gzip = true; }' }),
  ),
  setup('lighttpd', '', (upstream) => launchLighttpd(upstream)),
  {
    name: 'an Express gateway that compresses without no-transform',
    protocol: 'http',
    isInstalled: true,
    start: startGateway,
  },
]

/** Proxies that compress JSON that is not compressed yet. */
export const COMPRESSING: readonly ProxySetup[] = [
  setup('nginx', 'with gzip for JSON', (upstream) =>
    launchNginx(upstream, { http: EVENT_STREAM_GZIP.replace('text/event-stream', 'application/json') }),
  ),
  setup('haproxy', 'with compression of JSON', (upstream) =>
    launchHaproxy(upstream, {
      defaults: 'option http-no-delay\n  compression algo gzip\n  compression type application/json',
    }),
  ),
]

/** A proxy that passes each event on late. */
export const DELAYING = setup('haproxy', '', (upstream) => launchHaproxy(upstream))

/** A proxy that requests gzip for each client, and decompresses the response for the others. */
export const DECOMPRESSING = STREAMING.filter(({ name }) => name === 'varnish')

/** The same with the parameter of docs/proxies.md. */
export const NOT_DECOMPRESSING = setup('varnish', 'without http_gzip_support', (upstream) =>
  launchVarnish(upstream, { args: ['-p', 'http_gzip_support=off'] }),
)

/** In seconds. */
export const IDLE_TIMEOUT = 3

/** A proxy of each kind with a short timeout for streams on which nothing is sent. */
export const WITH_IDLE_TIMEOUT: readonly ProxySetup[] = [
  setup('nginx', '', (upstream) =>
    launchNginx(upstream, { location: `proxy_read_timeout ${IDLE_TIMEOUT}s;` }),
  ),
  setup('haproxy', '', (upstream) =>
    launchHaproxy(upstream, {
      defaults: `option http-no-delay\n  timeout client ${IDLE_TIMEOUT}s\n  timeout server ${IDLE_TIMEOUT}s`,
    }),
  ),
  setup('varnish', '', (upstream) =>
    launchVarnish(upstream, { args: ['-p', `between_bytes_timeout=${IDLE_TIMEOUT}`] }),
  ),
  setup('lighttpd', '', (upstream) =>
    launchLighttpd(upstream, {
      server: 'server.stream-response-body = 1',
      host: `"read-timeout" => ${IDLE_TIMEOUT}`,
    }),
  ),
]

const SEND_TIMEOUT = ['-p', `send_timeout=${IDLE_TIMEOUT}`]

/** A varnish that limits the duration of a response, and one whose pipe has no such limit. */
export const WITH_SEND_TIMEOUT = {
  limited: setup('varnish', '', (upstream) => launchVarnish(upstream, { args: SEND_TIMEOUT })),
  piped: setup('varnish', '', (upstream) => launchVarnish(upstream, { args: SEND_TIMEOUT, vcl: PIPE })),
}

/** Proxies that keep public pages, and request a page once for all clients that wait for it. */
export const CACHING: readonly ProxySetup[] = [
  setup('nginx', 'with the cache of docs/proxies.md', (upstream) => {
    const [http = '', server = ''] = samplesOf('Caching pages')
    return launchNginx(upstream, {
      http: http.replace('/var/cache/nginx', 'FOLDER'),
      server: withUpstream(server, upstream),
    })
  }),
  setup('varnish', '', (upstream) => launchVarnish(upstream)),
]

// Workers run as the user of the tests. A worker that has been replaced cuts its streams after a second.
const NGINX_MASTER = 'user root; worker_shutdown_timeout 1s;'

/** Proxies that replace their workers at a signal, and let the streams of the old ones end for a second. */
export const RELOADING: ReadonlyArray<
  ProxySetup & { readonly signal: NodeJS.Signals; readonly notice?: string }
> = [
  {
    ...setup('nginx', '', (upstream) => launchNginx(upstream, { main: NGINX_MASTER })),
    signal: 'SIGHUP',
  },
  {
    ...setup(
      'nginx',
      'with HTTP/2 to the client',
      (upstream) => startNginxWithHttp2(upstream, NGINX_MASTER),
      {
        protocol: 'h2',
      },
    ),
    signal: 'SIGHUP',
  },
  {
    ...setup('haproxy', '', (upstream) =>
      launchHaproxy(upstream, {
        global: 'hard-stop-after 1s',
        defaults: 'option http-no-delay',
        args: ['-W', '-db'],
      }),
    ),
    signal: 'SIGUSR2',
    notice: 'Reloading HAProxy',
  },
  {
    ...setup('lighttpd', '', (upstream) =>
      launchLighttpd(upstream, {
        server:
          'server.stream-response-body = 1\nserver.feature-flags = ("server.graceful-shutdown-timeout" => 1)',
      }),
    ),
    signal: 'SIGUSR1',
  },
]
