// Where a page stands, from one connection to the next: its cursor, its number, and the channels that the cursor knows.
//
// After a reconnect a page names its subscriptions again, one by one. Until then a channel is dormant: it stays in the
// requests, because the cursor forgets what is not named, and what comes by it alone is held back.

/** @typedef {import('../http.js').Action} Action */
/** @typedef {import('../http.js').PulledMeta} PulledMeta */
/** @typedef {import('./frames.js').Pair} Pair */

/** Pairs of dormant channels that are held back. */
const HELD_MAX = 1000

export class Memory {
  /** @type {string | undefined} */
  cursor
  /** How far the user's log was delivered, as a WebSocket would say it: the client's store keeps it. */
  number = 0
  /** What each channel is subscribed to with. @type {Map<string, Set<string>>} */
  #active = new Map()
  /** @type {Set<string>} */
  #dormant = new Set()
  /** Left out of requests for a moment. @type {Set<string>} */
  #suspended = new Set()
  /** @type {Pair[]} */
  #held = []

  /** @param {string} nodeId whose it is: another node has other subscriptions */
  constructor(nodeId) {
    this.nodeId = nodeId
  }

  /** All that a request names. */
  channels() {
    return [...this.#active.keys(), ...this.#dormant].filter(channel => !this.#suspended.has(channel))
  }

  /** @param {string} channel */
  has(channel) {
    return this.#active.has(channel) || this.#dormant.has(channel)
  }

  /** @param {string} channel */
  isDormant(channel) {
    return this.#dormant.has(channel)
  }

  /** The connection is gone: the page will say anew what it wants. */
  sleep() {
    for (const channel of this.#active.keys()) this.#dormant.add(channel)
    this.#active.clear()
  }

  /** A dormant channel is wanted again: what was held back of it. @param {string} channel @param {string} filter */
  wake(channel, filter) {
    this.join(channel, filter)
    const awake = this.#held.filter(([, meta]) => meta.channels?.includes(channel))
    this.#held = this.#held.filter(pair => !awake.includes(pair))
    return awake
  }

  /** @param {string} channel @param {string} filter */
  join(channel, filter) {
    this.#suspended.delete(channel)
    this.#dormant.delete(channel)
    this.#active.set(channel, (this.#active.get(channel) ?? new Set()).add(filter))
  }

  /**
   * Has requests leave out a channel whose past is wanted once more; whether they named it.
   * @param {string} channel
   */
  suspend(channel) {
    this.#release(channel)
    this.#suspended.add(channel)
    return this.has(channel)
  }

  /** @param {string} channel @param {string} filter */
  leave(channel, filter) {
    const filters = this.#active.get(channel)
    filters?.delete(filter)
    if (filters?.size === 0) this.giveUp(channel)
  }

  /** Whether there was such a channel. @param {string} channel */
  giveUp(channel) {
    this.#release(channel)
    this.#suspended.delete(channel)
    const active = this.#active.delete(channel)
    return this.#dormant.delete(channel) || active
  }

  /** What was held back of this channel alone. @param {string} channel */
  #release(channel) {
    this.#held = this.#held.filter(([, meta]) => !meta.channels?.every(i => i === channel))
  }

  forgetDormant() {
    this.#dormant.clear()
    this.#held = []
  }

  /**
   * What goes out with a page's number. Above a number a client's own actions are left out; one that started with nothing is
   * shown them, so it has none before its last page.
   * @param {import('../http.js').Page} page
   */
  reach({ more, number = 0 }) {
    if (!more) this.number = Math.max(this.number, number)
  }

  /**
   * What of a page is delivered now.
   * @param {[Action, PulledMeta][]} actions
   * @returns {Pair[]}
   */
  sort(actions) {
    /** @type {Pair[]} */
    const shown = []
    for (const [action, { added: _, channels, ...meta }] of actions) {
      if (channels === undefined) {
        shown.push([action, meta])
      } else if (channels.some(channel => this.#active.has(channel))) {
        shown.push([action, { ...meta, channels: channels.filter(channel => this.#active.has(channel)) }])
      } else {
        this.#held.push([action, { ...meta, channels }])
      }
    }
    if (this.#held.length > HELD_MAX) this.forgetDormant()
    return shown
  }
}
