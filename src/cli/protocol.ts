/** The versions of HTTP that the commands speak. */
export type Protocol = 'HTTP/1.1' | 'HTTP/2'

/** A name that is offered in a TLS handshake (RFC 7301). */
export type AlpnName = 'h2' | 'http/1.1'
