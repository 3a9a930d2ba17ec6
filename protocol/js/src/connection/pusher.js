// What the client made goes to the server in order, many actions in one request. A request that is refused as a whole is
// sent again in halves, until the one action is found that is to blame.

import { pause } from '../pause.js'
import { Problem } from '../problem.js'

/** @typedef {import('../http.js').Api} Api */
/** @typedef {import('../http.js').Result} Result */
/** @typedef {import('./frames.js').Pair} Pair */
/** @typedef {{ pairs: Pair[], seen: string | undefined, resolve: (answered: Answered) => void }} Work */
/** @typedef {{ results: Result[], now: number }} Answered */

/** Actions, and characters of JSON, that go in one request. */
const ACTIONS = 500
const CHARACTERS = 2_000_000

/** What an action is told that is refused alone. @type {Record<string, string>} */
const REASONS = { 'over-quota': 'overQuota', 'too-large': 'tooLarge', 'malformed-body': 'error', 'too-many': 'error' }

export class Pusher {
  /** @type {Work[]} */
  #queue = []
  #busy = false

  /**
   * @param {Api} api
   * @param {AbortSignal} signal
   * @param {(error: unknown) => void} fail
   */
  constructor(api, signal, fail) {
    this.api = api
    this.signal = signal
    this.fail = fail
  }

  /**
   * Resolves with one result for each pair, in order; never if the line breaks before.
   * @param {Pair[]} pairs
   * @param {string | undefined} seen the cursor of what their author had seen
   * @returns {Promise<Answered>}
   */
  push(pairs, seen) {
    return new Promise(resolve => {
      this.#queue.push({ pairs, seen, resolve })
      if (!this.#busy) this.#run().catch(this.fail)
    })
  }

  async #run() {
    this.#busy = true
    while (this.#queue.length > 0 && !this.signal.aborted) {
      const works = this.#take()
      const { results, now } = await this.#send(works.flatMap(work => work.pairs), works[0]?.seen)
      for (const work of works) work.resolve({ results: results.splice(0, work.pairs.length), now })
    }
    this.#busy = false
  }

  /** What has gathered meanwhile, as much as goes in one request; an action's author has seen what those before had. */
  #take() {
    const works = this.#queue.splice(0, 1)
    let count = works[0]?.pairs.length ?? 0
    for (let next = this.#queue[0]; next && next.seen === works[0]?.seen; next = this.#queue[0]) {
      count += next.pairs.length
      if (count > ACTIONS) break
      works.push(next)
      this.#queue.shift()
    }
    return works
  }

  /** @param {Pair[]} pairs @param {string | undefined} seen @returns {Promise<Answered>} */
  async #send(pairs, seen) {
    const fits = pairs.length <= ACTIONS && (pairs.length === 1 || JSON.stringify(pairs).length <= CHARACTERS)
    if (!fits) return this.#halves(pairs, seen)
    for (;;) {
      try {
        const { results, time } = await this.api.push({ actions: pairs, seen, signal: this.signal })
        return { results, now: time[1] }
      } catch (error) {
        if (!(error instanceof Problem)) throw error
        const reason = REASONS[error.kind]
        const pressed = error.kind === 'too-many-actions'
        if (!pressed && reason === undefined) throw error
        if (pressed) await pause((error.retryAfter ?? 1) * 1000, this.signal)
        this.signal.throwIfAborted()
        if (pairs.length > 1) return this.#halves(pairs, seen)
        if (reason) return { results: pairs.map(([, { id }]) => ({ id, status: 'undone', reason })), now: 0 }
      }
    }
  }

  /** @param {Pair[]} pairs @param {string | undefined} seen */
  async #halves(pairs, seen) {
    const middle = Math.ceil(pairs.length / 2)
    const first = await this.#send(pairs.slice(0, middle), seen)
    const second = await this.#send(pairs.slice(middle), seen)
    return { results: [...first.results, ...second.results], now: Math.max(first.now, second.now) }
  }
}
