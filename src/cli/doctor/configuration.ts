/** A configuration that makes a proxy pass a stream. */
export interface Configuration {
  /** The name of the proxy, for example `nginx`. */
  readonly proxy: string
  /** The effect of the proxy on a stream, and the settings to change, in a few sentences. */
  readonly advice: string
  /** The lines of its configuration. Undefined if the advice suffices. */
  readonly lines?: string | undefined
}

const NGINX = `location /events {
  proxy_pass http://127.0.0.1:3000;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_buffering off;
  proxy_cache off;
}`

const VARNISH = `sub vcl_recv {
  if (req.http.Accept ~ "text/event-stream") {
    return (pipe);
  }
}`

const ENVOY = `route:
  cluster: events
  timeout: 0s`

// A test compares these lines with `docs/proxies.md`, and further tests run the installed proxies with them.
const CONFIGURATIONS: readonly Configuration[] = [
  {
    proxy: 'nginx',
    advice: 'It buffers a response without X-Accel-Buffering: no, unless it has these lines.',
    lines: NGINX,
  },
  {
    proxy: 'haproxy',
    advice: 'Each event reaches clients over HTTP/1.1 200 ms late, unless it has this line in defaults.',
    lines: 'option http-no-delay',
  },
  {
    proxy: 'varnish',
    advice:
      'It caches a response without Cache-Control: no-cache, and cuts a stream after 600 s, unless it is piped.',
    lines: VARNISH,
  },
  {
    proxy: 'lighttpd',
    advice: 'It holds all events until the stream ends, unless it has this line.',
    lines: 'server.stream-response-body = 1',
  },
  { proxy: 'Envoy', advice: 'It cuts a stream after 15 s, unless its route has this timeout.', lines: ENVOY },
  { proxy: 'caddy', advice: 'Exclude event streams from encode. Otherwise it may hold all events.' },
  { proxy: 'apache', advice: 'It needs no configuration for a stream, also with mod_deflate.' },
  {
    proxy: 'squid',
    advice:
      'It needs no configuration for a stream with Cache-Control: no-cache. With collapsed_forwarding on, it sends one that it may keep to several readers.',
  },
  { proxy: 'h2o', advice: 'It cuts a stream that is idle for 30 s. Send heartbeats more often.' },
  { proxy: 'nghttpx', advice: 'It cuts a stream that is idle for 60 s. Send heartbeats more often.' },
  {
    proxy: 'Apache Traffic Server',
    advice:
      'It cuts a stream that is idle for 30 s, and each stream after 900 s. Send heartbeats more often. Its plugin compress.so holds all events, unless its configuration has flush true.',
  },
  { proxy: 'Cloudflare', advice: 'It cuts a stream that is idle for 100 s. Send heartbeats more often.' },
  {
    proxy: 'AWS Application Load Balancer',
    advice:
      'It cuts a stream that is idle for 60 s. Send heartbeats more often, or raise idle_timeout.timeout_seconds.',
  },
  {
    proxy: 'CloudFront',
    advice:
      'It cuts a stream that is idle for 30 s. Send heartbeats more often, or raise the origin response timeout.',
  },
  {
    proxy: 'Fastly',
    advice:
      'It cuts a stream that is idle for 10 s. Send heartbeats every 5 s, or raise between_bytes_timeout.',
  },
  { proxy: 'Heroku', advice: 'It cuts a stream that is idle for 55 s. Send heartbeats more often.' },
  {
    proxy: 'Google Cloud',
    advice:
      'It cuts each stream after 30 s, unless the timeout of its backend service is longer, for example 1 h.',
  },
]

/** Returns the configuration to add to a proxy. Undefined for an unknown proxy. */
export function configurationOf(proxy: string): Configuration | undefined {
  return CONFIGURATIONS.find((each) => each.proxy === proxy)
}
