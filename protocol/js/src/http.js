// The calls of a Tidelog server, one method each; docs/http.md of the server describes them.

import { events } from './events.js'
import { Problem, problemOf, Unreachable } from './problem.js'

export { isPassing, Problem, Unreachable } from './problem.js'

/** @typedef {{ type: string, [key: string]: any }} Action */
/** @typedef {{ dots?: string[], context?: import('./crdt/causality.js').Context }} Causality what the server knows of who had seen what */
/** @typedef {Causality & { id: string, time: number, added: number, subprotocol?: number, channels?: string[] }} PulledMeta */
/** @typedef {{ id?: string, time?: number, subprotocol?: number }} PushedMeta */
/** @typedef {{ actions: [Action, PulledMeta][], cursor: string, number?: number, more: boolean, time: [number, number] }} Page */
/** @typedef {Causality & { id: string, status: 'processed' | 'undone', reason?: string, added?: number }} Result */
/** @typedef {{ since?: string, limit?: number, channels?: string[] }} Reading */
/** @typedef {string | undefined | (() => string | undefined | Promise<string | undefined>)} Token */

/**
 * @typedef {object} ApiOptions
 * @property {string} url where the server is, such as `https://sync.example.com`
 * @property {Token} [token] proves the user; a function is asked before each request
 * @property {string} [client] the device, `user:client` or the second part alone
 * @property {boolean} [causality] asks who had seen what, for documents that are merged here
 * @property {typeof fetch} [fetch]
 * @property {RequestCredentials} [credentials] `include` has cookies sent to another origin
 * @property {number} [timeout] milliseconds until an answer must have come; a long poll has its wait on top
 */

/** Silence of a stream after which it is taken for dead; the server sends a comment every 20 seconds. */
const STREAM_SILENCE = 50_000

export class Api {
  /** @param {ApiOptions} options */
  constructor({ url, token, client, causality, fetch: given, credentials, timeout = 30_000 }) {
    this.url = url.replace(/\/+$/, '')
    this.token = token
    this.client = client
    this.causality = causality || undefined
    this.credentials = credentials
    this.timeout = timeout
    this.fetch = given ?? ((/** @type {any} */ input, /** @type {any} */ init) => fetch(input, init))
  }

  /**
   * What is new above `since`. With `wait` (seconds) it waits for something.
   * @param {Reading & { wait?: number, signal?: AbortSignal }} [asked]
   * @returns {Promise<Page>}
   */
  async pull({ signal, wait, ...reading } = {}) {
    const query = parameters({ ...reading, causality: this.causality, wait })
    const ms = this.timeout + (wait ?? 0) * 1000
    // A browser that keeps pages would give an old one again when nothing is new, and its `time` would be the old one.
    return this.#answered(`/v1/log${query}`, { cache: 'no-store', signal }, ms)
  }

  /**
   * Hands over actions; the results come when they are on disk.
   * @param {{ actions: [Action, PushedMeta][], seen?: string, signal?: AbortSignal }} body
   * @returns {Promise<{ results: Result[], time: [number, number] }>}
   */
  async push({ signal, ...body }) {
    return this.#answered('/v1/log', post({ ...body, causality: this.causality }, signal), this.timeout)
  }

  /**
   * A push, and then a pull that sees it.
   * @param {Reading & { actions?: [Action, PushedMeta][], seen?: string, signal?: AbortSignal }} body
   * @returns {Promise<Page & { results: Result[] }>}
   */
  async sync({ signal, ...body }) {
    return this.#answered('/v1/sync', post({ ...body, causality: this.causality }, signal), this.timeout)
  }

  /**
   * A document: what the actions of a log add up to.
   * @param {string} name
   * @param {{ channel?: string, since?: string, signal?: AbortSignal }} [asked]
   * @returns {Promise<{ value: any, cursor: string }>}
   */
  async document(name, { channel, since, signal } = {}) {
    const query = parameters({ since, channels: channel === undefined ? [] : [channel] })
    return this.#answered(`/v1/docs/${encodeURIComponent(name)}${query}`, { signal }, this.timeout)
  }

  /**
   * Any other call, for what is built on this one. Resolves with the JSON of the answer, or null if it has none.
   * @param {string} path
   * @param {{ method?: string, body?: any, signal?: AbortSignal }} [request]
   */
  async call(path, { method, body, signal } = {}) {
    const init = body === undefined ? { method, signal } : { ...post(body, signal), method: method ?? 'POST' }
    return this.#answered(path, init, this.timeout)
  }

  /**
   * Pages as they come, for as long as the server keeps the stream open; null now and then while nothing comes. The
   * first page comes at once: if `patience` milliseconds pass without it, something on the way holds the stream back.
   * @param {Reading & { patience?: number, signal?: AbortSignal }} [asked]
   * @returns {AsyncGenerator<Page | null, void, void>}
   */
  async *stream({ signal, patience = 10_000, ...reading } = {}) {
    const watch = new Watch(signal)
    try {
      watch.allow(patience, 'the event stream did not begin: something on the way holds it back')
      const accept = { accept: 'text/event-stream' }
      const query = parameters({ ...reading, causality: this.causality })
      const response = await this.#send(`/v1/log${query}`, { headers: accept, cache: 'no-store' }, watch)
      if (!response.body) throw new Unreachable('the event stream has no body')
      for await (const data of watch.follow(events(response.body))) {
        watch.allow(STREAM_SILENCE, 'the event stream fell silent')
        yield data === null ? null : JSON.parse(data)
      }
    } catch (error) {
      throw watch.blame(error)
    } finally {
      watch.end()
    }
  }

  /**
   * @param {string} path
   * @param {RequestInit & { signal?: AbortSignal }} init
   * @param {number} ms
   */
  async #answered(path, { signal, ...init }, ms) {
    const watch = new Watch(signal ?? undefined)
    watch.allow(ms, `no answer within ${Math.round(ms / 1000)} s`)
    try {
      const response = await this.#send(path, init, watch)
      const text = await response.text()
      return text === '' ? null : JSON.parse(text)
    } catch (error) {
      throw watch.blame(error)
    } finally {
      watch.end()
    }
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   * @param {Watch} watch
   */
  async #send(path, init, watch) {
    const headers = new Headers(init.headers)
    const token = typeof this.token === 'function' ? await this.token() : this.token
    if (token) headers.set('authorization', `Bearer ${token}`)
    if (this.client) headers.set('tidelog-client', this.client)
    const { signal } = watch
    const response = await this.fetch(this.url + path, { ...init, headers, signal, credentials: this.credentials })
    if (!response.ok) throw await problemOf(response)
    return response
  }
}

/** Ends a request that takes too long, and tells that from one whose caller has lost interest. */
class Watch {
  #controller = new AbortController()
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer
  /** @type {string | undefined} */
  #late
  #leave = () => this.#controller.abort(this.outer?.reason)

  /** @param {AbortSignal} [outer] */
  constructor(outer) {
    this.outer = outer
    if (outer?.aborted) this.#leave()
    else outer?.addEventListener('abort', this.#leave)
  }

  get signal() {
    return this.#controller.signal
  }

  /** @param {number} ms @param {string} message what is said if it takes longer */
  allow(ms, message) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#late = message
      this.#controller.abort()
    }, ms)
  }

  /**
   * @template T
   * @param {AsyncGenerator<T, void, void>} items
   */
  async *follow(items) {
    for await (const item of items) {
      if (this.signal.aborted) return
      yield item
    }
  }

  /** @param {unknown} error what is thrown instead */
  blame(error) {
    if (this.#late !== undefined) return new Unreachable(this.#late, error, true)
    if (this.outer?.aborted || error instanceof Problem || error instanceof Unreachable) return error
    return new Unreachable(`the server was not reached: ${error instanceof Error ? error.message : error}`, error)
  }

  end() {
    clearTimeout(this.#timer)
    this.outer?.removeEventListener('abort', this.#leave)
    this.#controller.abort()
  }
}

/**
 * @param {any} body
 * @param {AbortSignal} [signal]
 */
function post(body, signal) {
  const headers = { 'content-type': 'application/json' }
  return { method: 'POST', body: JSON.stringify(body), headers, signal }
}

/** @param {Reading & { wait?: number, causality?: boolean }} reading */
function parameters({ since, limit, wait, causality, channels = [] }) {
  const query = new URLSearchParams()
  if (since !== undefined) query.set('since', since)
  if (limit !== undefined) query.set('limit', String(limit))
  if (wait !== undefined) query.set('wait', String(wait))
  if (causality) query.set('causality', 'true')
  for (const channel of channels) query.append('channel', channel)
  const text = query.toString()
  return text === '' ? '' : `?${text}`
}
