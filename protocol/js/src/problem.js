// What can go wrong with a request: the server says no, or it is not reached.

const PREFIX = 'urn:tidelog:problem:'

/** The server answered with a problem (RFC 9457), or with something that is not from a Tidelog server. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {{ type?: string, title?: string, detail?: string, cursor?: string, channel?: string, path?: string }} body
   * @param {number} [retryAfter] seconds
   */
  constructor(status, body, retryAfter) {
    super(body.detail ?? body.title ?? `the server answered ${status}`)
    this.name = 'Problem'
    this.status = status
    /** The stable name, such as `foreign-cursor`; empty if the answer is from something in between, such as a proxy. */
    this.kind = body.type?.startsWith(PREFIX) ? body.type.slice(PREFIX.length) : ''
    /** The cursor to go on with, after `foreign-cursor`. */
    this.cursor = body.cursor
    /** The channel that cannot be read. */
    this.channel = body.channel
    /** Where the fault in a body is. */
    this.path = body.path
    /** Seconds to wait before the next attempt. */
    this.retryAfter = retryAfter
  }

  /** Whether the same request may succeed later, without anything being changed in it. */
  get passing() {
    return this.status >= 500 || this.status === 408 || (this.status === 429 && this.kind !== 'over-quota')
  }
}

/** Nothing came back, or what came is no answer: offline, a proxy that cuts, silence for too long. */
export class Unreachable extends Error {
  /** @param {string} message @param {unknown} [cause] @param {boolean} [silent] */
  constructor(message, cause, silent = false) {
    super(message, { cause })
    this.name = 'Unreachable'
    /** Whether the line stood, and nothing came. */
    this.silent = silent
  }
}

/**
 * Whether `error` is one that time may heal.
 * @param {unknown} error
 */
export function isPassing(error) {
  return error instanceof Unreachable || (error instanceof Problem && error.passing)
}

/**
 * @param {Response} response
 * @returns {Promise<Problem>}
 */
export async function problemOf(response) {
  /** @type {Record<string, any>} */
  let body = {}
  try {
    body = JSON.parse(await response.text())
  } catch {
    // A proxy's page is no problem document; the status says enough.
  }
  const seconds = Number(response.headers.get('retry-after'))
  return new Problem(response.status, body ?? {}, Number.isFinite(seconds) && seconds > 0 ? seconds : undefined)
}
