/** The versions of HTTP that the commands support. */
export type Protocol = 'HTTP/1.1' | 'HTTP/2'

/** The name of a protocol in a TLS handshake (RFC 7301). */
export type AlpnName = 'h2' | 'http/1.1'
