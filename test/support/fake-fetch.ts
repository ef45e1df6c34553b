const immediate = setImmediate

/** Resolves when all promises have settled that need no timer. Independent of fake timers. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => immediate(resolve))
}

/** A request that a `FakeFetch` has received. The test acts as the server. */
export class FakeRequest {
  readonly url: URL
  readonly init: RequestInit
  readonly headers: Headers
  isAborted = false
  #body: ReadableStreamDefaultController<Uint8Array> | undefined
  readonly #resolve: (response: Response) => void
  readonly #reject: (error: unknown) => void

  constructor(
    url: URL,
    init: RequestInit,
    resolve: (response: Response) => void,
    reject: (error: unknown) => void,
  ) {
    this.url = url
    this.init = init
    this.headers = new Headers(init.headers)
    this.#resolve = resolve
    this.#reject = reject
    init.signal?.addEventListener('abort', () => {
      this.isAborted = true
      this.fail(init.signal?.reason)
    })
  }

  get isPoll(): boolean {
    return this.url.searchParams.get('format') === 'json'
  }

  get query(): Record<string, string> {
    return Object.fromEntries(this.url.searchParams)
  }

  /** Sends response headers. The body follows. */
  async respond(status = 200, headers: Record<string, string> = { 'content-type': 'text/event-stream' }) {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#body = controller
      },
      cancel: () => {
        this.isAborted = true
      },
    })
    this.#resolve(new Response(status === 204 ? null : body, { status, headers }))
    await settled()
  }

  async write(text: string | Uint8Array): Promise<void> {
    if (!this.isAborted) this.#body?.enqueue(typeof text === 'string' ? new TextEncoder().encode(text) : text)
    await settled()
  }

  async end(): Promise<void> {
    if (!this.isAborted) this.#body?.close()
    await settled()
  }

  /** Fails the request, or cuts its body. */
  async cut(): Promise<void> {
    this.fail(new TypeError('network error'))
    await settled()
  }

  /** Responds with an event stream and its first bytes. */
  async open(text = ': heartbeat 15000\nretry: 1000\n'): Promise<void> {
    await this.respond()
    await this.write(text)
  }

  /** Responds with a whole body. */
  async answer(body: unknown, status = 200, type = 'application/json', headers = {}): Promise<void> {
    await this.respond(status, { 'content-type': type, ...headers })
    await this.write(typeof body === 'string' ? body : JSON.stringify(body))
    await this.end()
  }

  fail(error: unknown): void {
    this.#reject(error)
    try {
      this.#body?.error(error)
    } catch {
      // The body has ended.
    }
  }
}

/** Returns a `fetch` to whose requests the test responds. */
export function fakeFetch() {
  const requests: FakeRequest[] = []
  const fetch = ((url: URL, init: RequestInit) =>
    new Promise<Response>((resolve, reject) => {
      requests.push(new FakeRequest(new URL(url), init, resolve, reject))
    })) as typeof globalThis.fetch
  return {
    fetch,
    requests,
    /** Returns the only request that is not aborted and that was not returned before. */
    next(): FakeRequest {
      const request = requests.shift()
      if (!request) throw new Error('There was no further request.')
      return request
    },
  }
}
