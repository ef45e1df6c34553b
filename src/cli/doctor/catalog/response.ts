import type { Entry } from './entry.ts'

/** The findings about a response as such: its status, its headers, its fields, and the responses to other requests. */
export const RESPONSE = {
  status: {
    level: 'problem',
    meaning: 'An `EventSource` stops permanently at any status but 200.',
    advice: 'Respond with 200 and an event stream, or with 204 to end the reconnects of a client.',
  },
  redirect: {
    level: 'problem',
    meaning: 'Each reconnect is redirected first, and a redirect to another origin needs CORS headers there.',
    advice: 'Use the final URL in the client, and examine that URL.',
  },
  'login-page': {
    level: 'problem',
    meaning: 'A client that is not logged in gets a page instead of a stream, and an `EventSource` stops.',
    advice: 'Respond with 401 to a stream without a session. Examine it with --cookie or --header.',
  },
  'content-type': {
    level: 'problem',
    meaning: 'A browser refuses a stream with another type, and proxies buffer it like a page.',
    advice: 'Send Content-Type: text/event-stream.',
  },
  charset: {
    level: 'problem',
    meaning: 'Event streams are UTF-8. Chromium refuses a stream with another charset.',
    advice: 'Send Content-Type: text/event-stream; charset=utf-8, or no charset.',
  },
  'content-length': {
    level: 'problem',
    meaning: 'A client stops reading after this number of bytes, and some proxies wait for all of them.',
    advice: 'Do not set Content-Length on a stream. Remove the middleware that adds it.',
  },
  'connection-header': {
    level: 'warning',
    meaning: 'The end of the connection ends the stream, so that a client cannot notice that it was cut.',
    advice:
      'Do not set Connection, and use HTTP/1.1 from the proxy to your server, so that the body is chunked.',
  },
  cacheable: {
    level: 'warning',
    meaning: 'A cache such as varnish may serve the stream of one user to another user.',
    advice: 'Send Cache-Control: no-cache, no-transform, or no-store instead of no-cache.',
  },
  transformable: {
    level: 'warning',
    meaning: 'Compression in a middleware or a proxy may hold events until the stream ends.',
    advice: 'Add no-transform to Cache-Control.',
  },
  'proxy-buffering-allowed': {
    level: 'warning',
    meaning: 'nginx buffers a response by default, so that events arrive in bursts or when the stream ends.',
    advice: 'Send X-Accel-Buffering: no, or set proxy_buffering off in nginx.',
  },
  aged: {
    level: 'problem',
    meaning: 'Clients read an old stream from a cache, and new events do not reach them.',
    advice: 'Exclude the route from the cache, and send Cache-Control: no-store.',
  },
  cached: {
    level: 'problem',
    meaning: 'One user reads the stream that the server has sent to another one.',
    advice: 'Exclude the route from the cache, and send Cache-Control: no-store.',
  },
  vary: {
    level: 'warning',
    meaning: 'A cache may serve the response to one kind of request to another kind of request.',
    advice: 'Send Vary with the name of the request header.',
  },
  'accept-required': {
    level: 'warning',
    meaning: 'Programs that accept everything, such as curl and monitoring, get an error.',
    advice: 'Serve the stream for Accept: */*, which includes text/event-stream.',
  },
  'llm-accept': {
    level: 'note',
    meaning: 'The SDKs of OpenAI, Anthropic and Groq request a stream with Accept: application/json.',
    advice: 'If such an SDK is a client, serve the stream whatever the request accepts.',
  },
  'head-hangs': {
    level: 'note',
    meaning: 'Monitoring and link checkers wait until their timeout, and each may keep a stream open.',
    advice: 'Respond to HEAD with the headers, then end the response.',
  },
  'head-status': {
    level: 'note',
    meaning: 'Monitoring that sends HEAD reports the endpoint as broken.',
    advice: 'Respond to HEAD with the status and the headers of GET, without a body.',
  },
  'cors-origin': {
    level: 'problem',
    meaning: 'A page of this origin cannot read the stream. Its `EventSource` stops with an error.',
    advice: 'Send Access-Control-Allow-Origin with the origin, on errors too.',
  },
  'cors-credentials': {
    level: 'problem',
    meaning: 'A browser that sends cookies to another origin refuses the response.',
    advice: 'Send the origin instead of *, and Access-Control-Allow-Credentials: true.',
  },
  'cors-preflight': {
    level: 'warning',
    meaning: 'Clients that use fetch() cannot reconnect with the header Last-Event-ID. `EventSource` can.',
    advice: 'Respond to OPTIONS with 204 and Access-Control-Allow-Headers: Last-Event-ID.',
  },
  'nul-in-id': {
    level: 'problem',
    meaning: 'Clients ignore the id, so that they resume from an earlier event, or from none.',
    advice: 'Use short ids of printable ASCII.',
  },
  'bad-retry': {
    level: 'warning',
    meaning: 'Clients ignore the value, and reconnect after their own default, which is often 3 s.',
    advice: 'Write retry as a whole number of milliseconds, in digits only.',
  },
  'unknown-field': {
    level: 'warning',
    meaning: 'Clients ignore a line that does not begin with data:, event:, id: or retry:.',
    advice: 'Begin each line of data with data:, in lower case and without a space before it.',
  },
  bom: {
    level: 'warning',
    meaning:
      'Some clients do not remove a BOM. None removes it after the beginning, so that a field is lost.',
    advice: 'Encode the text as UTF-8 without a BOM.',
  },
  'carriage-return': {
    level: 'warning',
    meaning:
      'A CR ends a line, so that data with a CR loses its rest. Some clients do not read CR as an end.',
    advice: 'End lines with LF, and write each line of the data with its own data:.',
  },
  'unfinished-block': {
    level: 'problem',
    meaning: 'Clients dispatch an event at the blank line after it. Without the line, the event is lost.',
    advice: 'End each event with two line feeds.',
  },
  'invalid-utf-8': {
    level: 'problem',
    meaning: 'Clients read other characters than the server has sent.',
    advice: 'Encode the text as UTF-8, and do not split a character when chunks are decoded one by one.',
  },
  'http2-failed': {
    level: 'problem',
    meaning: 'Browsers prefer HTTP/2 if TLS negotiates it, so that they get no stream.',
    advice: 'Remove headers that HTTP/2 forbids, such as Connection, and read the log of the server.',
  },
  'browser-connections': {
    level: 'note',
    meaning: 'Browsers open at most six connections to an origin. A seventh tab waits without an error.',
    advice: 'Serve HTTP/2, for example in the proxy, or share one stream between tabs.',
  },
  limited: {
    level: 'note',
    meaning:
      'A limit of requests or of streams refuses some requests of the doctor, and also many tabs of one user.',
    advice: 'Raise the limit for the route, and examine again, from a machine without other streams.',
  },
  'long-poll-length': {
    level: 'warning',
    meaning: 'A client cannot distinguish a page that was cut from a complete one.',
    advice: 'Send Content-Length with each page.',
  },
  'long-poll-cursor': {
    level: 'problem',
    meaning: 'The next poll cannot continue after these events, so that events are repeated or lost.',
    advice: 'Return the id of the last event as lastEventId, and use ids on all events.',
  },
  'ndjson-type': {
    level: 'warning',
    meaning: 'Clients and proxies wait for the end of the body, because JSON of this type is one document.',
    advice: 'Send Content-Type: application/x-ndjson.',
  },
  'ndjson-lines': {
    level: 'problem',
    meaning: 'Clients parse each line by itself, and fail at this one.',
    advice: 'Write each value on one line, without line feeds inside.',
  },
} satisfies Record<string, Entry>
