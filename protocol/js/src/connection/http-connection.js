// A connection for the nodes of `@logux/core` without a socket. It is made of requests, so it is there as soon as it is
// asked for; whether the server is, shows when the node says `connect`.

import { Emitter } from '../emitter.js'
import { Api } from '../http.js'
import { Live } from '../live.js'
import { pause } from '../pause.js'
import { Problem } from '../problem.js'
import { Cursors } from './cursors.js'
import { Session } from './session.js'

/**
 * @typedef {object} HttpOptions
 * @property {string} url where the server is, such as `https://sync.example.com`
 * @property {typeof fetch} [fetch]
 * @property {RequestCredentials} [credentials] `include` has cookies sent to another origin
 * @property {boolean} [causality] asks who had seen what, for documents that the page merges; over HTTP alone
 * @property {import('./cursors.js').Storage} [storage] where cursors are kept; `localStorage` if there is one
 * @property {number} [timeout] milliseconds until an answer must have come
 * @property {(error: unknown) => void} [onTrouble] hears why a connection ended or was not made
 */

/** After failures in a row the next attempt waits for up to so long, beside the delays of `Reconnect`. */
const BACKOFF_MS = 60_000

export class HttpConnection {
  connected = false
  emitter = new Emitter()
  #failures = 0
  #notBefore = 0
  /** @type {AbortController | undefined} */
  #attempt
  /** @type {Session | undefined} */
  #session

  /** @param {HttpOptions & import('../live.js').LiveOptions} options */
  constructor(options) {
    this.options = options
    this.url = options.url
    this.api = new Api(options)
    this.live = new Live(this.api, options)
    this.cursors = new Cursors(this.api.url, options.storage)
  }

  /**
   * @param {string} event
   * @param {(...args: any[]) => void} listener
   */
  on(event, listener) {
    return this.emitter.on(event, listener)
  }

  /** @returns {Promise<void>} */
  async connect() {
    if (this.#attempt) return
    const attempt = new AbortController()
    this.#attempt = attempt
    this.emitter.emit('connecting')
    await this.#backOff(attempt.signal)
    if (attempt.signal.aborted) return
    this.connected = true
    this.#session = new Session({
      api: this.api,
      cursors: this.cursors,
      emit: message => this.#receive(message),
      fail: error => this.#fail(error),
      live: this.live,
      memory: this.#session?.memory
    })
    this.emitter.emit('connect')
  }

  /** @param {string} [reason] */
  disconnect(reason) {
    if (!this.#attempt) return
    this.#attempt.abort()
    this.#attempt = undefined
    this.#session?.end()
    this.connected = false
    this.emitter.emit('disconnect', reason)
  }

  destroy() {
    this.disconnect('destroy')
  }

  /** @param {any[]} message */
  send(message) {
    if (this.connected) this.#session?.receive(message)
    else this.emitter.emit('error', new Error('The connection is closed'))
  }

  /** @param {any[]} message */
  #receive(message) {
    if (message[0] === 'connected') this.#failures = 0
    try {
      this.emitter.emit('message', message)
    } catch (error) {
      // A node throws what nobody listens for; as with a socket, it is nobody's here either.
      queueMicrotask(() => {
        throw error
      })
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    this.#failures += 1
    if (error instanceof Problem && error.retryAfter) this.#notBefore = Date.now() + error.retryAfter * 1000
    this.options.onTrouble?.(error)
    this.disconnect('error')
  }

  /** @param {AbortSignal} signal */
  async #backOff(signal) {
    const asked = this.#notBefore - Date.now()
    const own = this.#failures > 1 ? Math.min(500 * 2 ** this.#failures, BACKOFF_MS) : 0
    if (asked <= 0 && own === 0) return
    const over = new AbortController()
    const end = () => over.abort()
    // A device that is online again need not wait, unless the server asked it to.
    if (asked <= 0) globalThis.addEventListener?.('online', end)
    signal.addEventListener('abort', end)
    await pause(Math.max(asked, own), over.signal)
    globalThis.removeEventListener?.('online', end)
  }
}
