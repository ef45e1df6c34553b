/** The text of `npx spillway doctor --help`. */
export const HELP = `Usage: npx spillway doctor <url> [options]

Opens an event stream as browsers, programs and proxies do, over HTTP/1.1 and HTTP/2, and watches it for up to 18 s.
Each finding has a code, one line with the figure, its meaning, and the change to make.

The request:
  --header 'Name: value'   Sends a header, for example 'Authorization: Bearer ...'. May be repeated.
  --cookie 'a=1; b=2'      Sends cookies.
  --data <body>            Sends a POST with this body, or with that of a file: --data @request.json.
  --origin <origin>        Examines CORS for pages of an origin, for example https://app.example.org.
  --insecure               Accepts any certificate, for example a self-signed one.
  --timeout <time>         Limits the examination, for example 60s or 5000ms. Default 18s.

The proxy:
  --compare <direct-url>   Examines the same endpoint without its proxy beside it, shows each difference, names the
                           proxy, and prints its configuration.

The result:
  --json                   Prints the report as JSON. Its schema is spillway/schemas/doctor-report.json,
                           with --compare spillway/schemas/doctor-comparison.json.
  --fail-on <level>        Sets the least level that fails: problem (default), warning, note or never.
  --explain <code>         Prints the page on a code of a finding, without an examination.
  --no-color               Prints no colours. NO_COLOR in the environment does the same.
  --help                   Prints this text.

Exit status: 0 if no finding fails, 1 if one does, 2 if the endpoint could not be examined, 130 after Ctrl+C.

Examples:
  npx spillway doctor https://example.org/events
  npx spillway doctor https://example.org/events --compare http://10.0.0.5:3000/events
  npx spillway doctor https://example.org/chat --data @prompt.json --header 'Content-Type: application/json'
`
