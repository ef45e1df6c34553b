import type { Entry } from './entry.ts'

/** The findings about times: delays, buffering, heartbeats, resume and ends. */
export const DELIVERY = {
  'no-response-headers': {
    level: 'problem',
    meaning:
      'An `EventSource` stays in the state connecting. A proxy responds with 504 later, which stops it.',
    advice:
      'Send the headers and a comment at once, with X-Accel-Buffering: no. Disable response buffering in the proxy.',
  },
  'slow-headers': {
    level: 'warning',
    meaning: 'Each connect and reconnect takes as long, and clients show nothing meanwhile.',
    advice: 'Send the response headers before slow work such as queries.',
  },
  'headers-held': {
    level: 'warning',
    meaning: 'A stream without events looks as if it were down, and a proxy may respond with 504 meanwhile.',
    advice: 'Send a comment line as the first bytes of the body, at once after the headers.',
  },
  'no-body': {
    level: 'warning',
    meaning:
      'A proxy may hold the headers until the body begins, or it holds the body, so that events do not arrive.',
    advice:
      'Send a comment line at once, and one every 15 s. Disable response buffering and compression on the way.',
  },
  'slow-first-byte': {
    level: 'warning',
    meaning: 'Several proxies hold the headers until the first byte of the body.',
    advice: 'Send a comment line as the first bytes of the body, at once after the headers.',
  },
  'compressed-held': {
    level: 'problem',
    meaning: 'Compression collects events, so that browsers, which accept it, get them late or at the end.',
    advice: 'Send Cache-Control: no-cache, no-transform, exclude event streams, or flush after each write.',
  },
  buffered: {
    level: 'problem',
    meaning: 'Events are collected on the way, so that clients get them late and together.',
    advice:
      'Disable response buffering in the proxy: X-Accel-Buffering: no for nginx, server.stream-response-body = 1 for lighttpd.',
  },
  delayed: {
    level: 'warning',
    meaning: 'Each event reaches these clients later than others.',
    advice: 'In haproxy, set option http-no-delay. Otherwise, disable buffering on the way.',
  },
  compressed: {
    level: 'note',
    meaning: 'Events arrive at once. Compression costs memory for each stream.',
    advice: 'Nothing has to be changed. Watch the memory of the server or the proxy.',
  },
  'no-heartbeat': {
    level: 'note',
    meaning: 'Proxies close silent streams, and neither side notices the disconnect of the other one.',
    advice: 'Send a comment line every 15 s. If the interval is longer, examine with a longer --timeout.',
  },
  'slow-heartbeat': {
    level: 'warning',
    meaning: 'These proxies close the stream while it is silent, and clients reconnect again and again.',
    advice: 'Send a comment line every 15 s, or at least every 25 s.',
  },
  'resume-failed': {
    level: 'problem',
    meaning: 'A browser that reconnects with an id of this stream stops permanently.',
    advice:
      'Respond with 200 to a request with Last-Event-ID, and send an event if some events cannot be sent any more.',
  },
  'resume-ignored': {
    level: 'warning',
    meaning: 'The ids promise a resume, and events are lost at each reconnect without a notice.',
    advice:
      'Send the events after Last-Event-ID first, or an event that reports the gap. Otherwise, send no ids.',
  },
  'resume-skips': {
    level: 'problem',
    meaning: 'A client that reconnects loses events in the middle without a notice.',
    advice:
      'Read the history and subscribe to new events in one step, and report a gap if events are missing.',
  },
  'resume-repeats': {
    level: 'warning',
    meaning: 'A client that reconnects processes events twice.',
    advice: 'Send only the events strictly after Last-Event-ID.',
  },
  'unknown-id-ignored': {
    level: 'warning',
    meaning:
      'A client that was disconnected for longer than the history lasts loses events without a notice.',
    advice: 'If the id is unknown or too old, send an event that reports the gap, or the present state.',
  },
  'no-ids': {
    level: 'note',
    meaning: 'A client that reconnects cannot name the last event that it has, so that events may be lost.',
    advice: 'If each event matters, send an id with each, and continue after Last-Event-ID.',
  },
  'no-first-position': {
    level: 'note',
    meaning:
      'A client that disconnects before the first event cannot resume, and loses the events meanwhile.',
    advice: 'Begin the stream with the present position, as a block with an id and without data.',
  },
  cut: {
    level: 'problem',
    meaning: 'Clients see a network error, and reconnect.',
    advice: 'Look for a timeout of a proxy, a limit of the platform, or an error in the log of the server.',
  },
  ends: {
    level: 'warning',
    meaning: 'An `EventSource` reconnects after each end, and gets the same events again and again.',
    advice: 'Respond with 204 to a reconnect after the end, or close the `EventSource` at the last event.',
  },
  'too-few-events': {
    level: 'note',
    meaning: 'Some of the checks need events that arrive while the stream is watched.',
    advice: 'Publish some events during the examination, or examine with a longer --timeout.',
  },
} satisfies Record<string, Entry>
