/** The text of `npx spillway load --help`. */
export const HELP = `Usage: npx spillway load <url> [options]

Opens event streams at a constant rate, holds them, and reconnects as EventSource does. Reports how long
events take, and how many were lost, repeated or out of order.

Streams:
  --streams <n>             How many. Default 100, at most 50000.
  --rate <n/s>              How many are opened per second. Default 500/s.
  --duration <time>         How long they are held after that. Default 30s, at most 1h.
  --churn <n/s>             Connections that are cut at random moments. Each reconnects with its last id.
  --slow <percent>          Streams that read slowly, such as 5%.
  --slow-rate <bytes/s>     How slowly. Default 1kB/s.
  --retry <time>            Reconnection time until the server sends one. Default 3s.
  --header <name: value>    A request header. May be repeated.
  --scenario <file>         JSON with mixes of several URLs, headers and shares.
  --http <version>          auto, 1.1 or 2. Default auto: over TLS what the server chooses, as for a browser, otherwise 1.1.
  --streams-per-session <n> How many streams share a connection of HTTP/2. Default 1.
  --workers <n>             Worker processes. Default: one for each 2500 streams, and one core less than there are.

Delays, from a time in the data:
  --time-field <path>       Where the time is, such as data.sentAt. Default: time, t, sentAt and the like.
Delays, from probes that this command publishes:
  --publish-url <url>       Receives a POST request for each probe.
  --publish-command <text>  Or a command of the shell, with {probe} or the variable SPILLWAY_PROBE.
  --publish-rate <n/s>      Default 1/s.
  --publish-body <text>     Default {"probe":"{probe}"}. {probe} is replaced.
  --publish-header <name: value>

Lost, repeated and disordered events (probes have a number):
  --sequence-field <path>   Where the number is, such as data.n, or @id for the id of the event.
  --own-sequence            Each connection has numbers of its own, unless it has a last id.
  --gap-event <name>        The event that reports a gap. Default gap.

Limits, otherwise the exit status is 1:
  --max-p50 --max-p90 --max-p99 --max-p999 <time>                Delays of events.
  --max-lost --max-duplicates --max-out-of-order --max-gaps <n>  Events, over all streams.
  --max-errors --max-silent --min-streams <n>                    Streams: failures, no event, open at the end.

Other:
  --json                    Prints the result as JSON. Its schema is spillway/schemas/load-report.json.
  --i-own-this-server       Allows other addresses than those of this machine.
  --insecure                Accepts any certificate.
  --raise-limits            At most 500000 streams and 24h.
  --max-worker-busy <percent>, --max-worker-delay <time>
                            No durations are reported if a worker was busier (default 90%) or later (20ms).

Ctrl-C ends a run with its summary. The exit status is 2 if a run cannot begin.

Examples:
  npx spillway load http://localhost:3000/events --streams 1000 --time-field time
  npx spillway load http://localhost:3000/events --streams 5000 --churn 20/s \\
    --publish-url http://localhost:3000/publish --max-p99 50ms --max-lost 0
`
