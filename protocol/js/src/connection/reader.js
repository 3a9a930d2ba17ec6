// What the server has for the client: its user's log, and the channels that it subscribed to. There is one cursor, and
// whatever moves it happens here, one thing after the other.

import { Problem } from '../problem.js'

/** @typedef {import('../http.js').Action} Action */
/** @typedef {import('../http.js').Page} Page */
/** @typedef {import('./frames.js').Pair} Pair */
/** @typedef {import('./memory.js').Memory} Memory */
/** @typedef {{ channel: string, filter: string, resumes: boolean, answer: (result: { status: string, reason?: string }) => void }} Asked */

/**
 * @typedef {object} ReaderOptions
 * @property {import('../http.js').Api} api
 * @property {import('../live.js').Live} live
 * @property {Memory} memory
 * @property {AbortSignal} signal ends it
 * @property {(pairs: Pair[]) => Promise<void>} deliver resolves when the client has acknowledged them
 * @property {(cursor: string) => void} moved is told where the client stands now
 */

/** Channels that one request may name. */
const CHANNELS_MAX = 100
/** How long a channel of the former connection is remembered that the page has not named again. */
const DORMANT_MS = 60_000
/** @type {Record<string, string>} */
const REASONS = { 'channel-denied': 'denied', 'unknown-channel': 'wrongChannel' }

export class Reader {
  /** @type {Asked[]} */
  #asked = []
  #interrupt = new AbortController()

  /** @param {ReaderOptions} options */
  constructor({ api, live, memory, signal, deliver, moved }) {
    this.api = api
    this.live = live
    this.memory = memory
    this.signal = signal
    this.deliver = deliver
    this.moved = moved
    const forget = setTimeout(() => {
      memory.forgetDormant()
      this.#interrupt.abort()
    }, DORMANT_MS)
    signal.addEventListener('abort', () => {
      clearTimeout(forget)
      this.#interrupt.abort()
    })
  }

  /**
   * Resolves with the verdict when what the channel has was delivered.
   * @param {Action} action
   * @returns {Promise<{ status: string, reason?: string }>}
   */
  subscribe({ channel, filter, since }) {
    return new Promise(answer => {
      this.#asked.push({ channel, filter: JSON.stringify(filter), resumes: since !== undefined, answer })
      this.#interrupt.abort()
    })
  }

  /** @param {Action} action */
  unsubscribe({ channel, filter }) {
    this.memory.leave(channel, JSON.stringify(filter))
    this.#interrupt.abort()
  }

  /** Reads until `signal` is aborted; throws what the line breaks with. */
  async run() {
    while (!this.signal.aborted) {
      this.#interrupt = new AbortController()
      const { signal } = this.#interrupt
      if (this.#asked.length > 0) {
        await this.#settle(this.#asked.splice(0))
        continue
      }
      const channels = this.memory.channels()
      try {
        for await (const page of this.live.pages({ since: this.memory.cursor, channels, signal })) {
          await this.#take(page)
          if (signal.aborted) break
        }
      } catch (error) {
        if (!signal.aborted && !this.#lost(error, new Map())) throw error
      }
    }
  }

  /** Loads the channels that are asked for, all at once, and answers. @param {Asked[]} asked */
  async #settle(asked) {
    const { memory } = this
    /** @type {Map<string, Asked[]>} */
    const loading = new Map()
    for (const one of asked) {
      if (one.resumes && memory.isDormant(one.channel)) {
        await this.#show(memory.wake(one.channel, one.filter))
        one.answer({ status: 'processed' })
      } else if (!memory.has(one.channel) && memory.channels().length >= CHANNELS_MAX) {
        one.answer({ status: 'undone', reason: 'tooManySubscriptions' })
      } else {
        loading.set(one.channel, [...(loading.get(one.channel) ?? []), one])
        // One that is loaded again is new to the cursor only after a page without it.
        if (memory.suspend(one.channel)) await this.#pull(loading)
      }
    }
    for (const [channel, group] of loading) for (const { filter } of group) memory.join(channel, filter)
    while (loading.size > 0 && (await this.#pull(loading))) continue
    for (const group of loading.values()) for (const one of group) one.answer({ status: 'processed' })
  }

  /** Takes one page; whether there is more. @param {Map<string, Asked[]>} loading */
  async #pull(loading) {
    try {
      const page = await this.api.pull({
        since: this.memory.cursor,
        channels: this.memory.channels(),
        signal: this.signal
      })
      await this.#take(page)
      return page.more
    } catch (error) {
      if (!this.#lost(error, loading)) throw error
      return true
    }
  }

  /**
   * Whether the error is about one channel, which is then given up, and answered if somebody waits for it.
   * @param {unknown} error
   * @param {Map<string, Asked[]>} loading
   */
  #lost(error, loading) {
    if (!(error instanceof Problem) || error.channel === undefined) return false
    const reason = REASONS[error.kind]
    if (reason === undefined) return false
    for (const one of loading.get(error.channel) ?? []) one.answer({ status: 'undone', reason })
    loading.delete(error.channel)
    return this.memory.giveUp(error.channel)
  }

  /** @param {Page} page */
  async #take(page) {
    if (this.signal.aborted) return
    this.memory.reach(page)
    await this.#show(this.memory.sort(page.actions))
    if (this.signal.aborted) return
    this.memory.cursor = page.cursor
    this.moved(page.cursor)
  }

  /** @param {Pair[]} pairs */
  async #show(pairs) {
    if (pairs.length > 0) await this.deliver(pairs)
  }
}
