// One exchange of a device with its server: what waits is pushed, what is new is pulled, until neither is left.
//
// A device's own actions do not come back to it. The server says where it placed each, so that they come among the
// others as they do at every other device: all add up the same actions in the same order.

import { Problem } from './problem.js'
import { pause } from './pause.js'
import { inTurn } from './turn.js'

/** @typedef {import('./http.js').Api} Api */
/** @typedef {import('./http.js').Page} Page */
/** @typedef {import('./http.js').Result} Result */
/** @typedef {import('./device.js').Device} Device */
/** @typedef {import('./device.js').Queued} Queued */
/** @typedef {import('./device.js').News} News */
/** @typedef {{ answered: number, news: number, added: number }} Exchanged */

/** Actions, and characters of JSON, in one request. */
const ACTIONS = 500
const CHARACTERS = 2_000_000
/** Refused as a whole: sent again in halves, until the one action is found that is to blame. @type {Record<string, string>} */
const REASONS = { 'over-quota': 'overQuota', 'too-large': 'tooLarge', 'malformed-body': 'error', 'too-many': 'error' }
/** A server that has too much to do says when to come again: an exchange waits so long, in seconds, and so often. */
const BUSY_S = 60
const BUSY_TIMES = 3
/** How long a measured clock is trusted. */
const CLOCK_MS = 86_400_000

/**
 * Resolves when nothing is left to push or pull; throws what the server or the line says.
 * @param {Device} device
 * @param {Api} api
 * @param {{ channels?: string[], signal?: AbortSignal }} [options]
 * @returns {Promise<Exchanged>}
 */
export function exchange(device, api, { channels = [], signal } = {}) {
  return inTurn(`tidelog:${device.name}`, () => new Exchange(device, api, channels, signal).run(), signal)
}

/**
 * Writes a page that came by itself.
 * @param {Device} device
 * @param {Page} page
 * @param {string | undefined} since what was asked for; a device that has moved on meanwhile has had it
 * @returns {Promise<string | undefined>} the cursor of the device now
 */
export function take(device, page, since) {
  return inTurn(`tidelog:${device.name}`, async () => {
    const { cursor, queue } = await device.standing(Infinity)
    if (cursor !== since || cursor === page.cursor) return cursor
    await device.change(placed(page, queue))
    return page.cursor
  })
}

class Exchange {
  #size = ACTIONS
  #waits = 0
  /** @type {Exchanged} */
  #total = { added: 0, answered: 0, news: 0 }

  /**
   * @param {Device} device
   * @param {Api} api
   * @param {string[]} channels
   * @param {AbortSignal} [signal]
   */
  constructor(device, api, channels, signal) {
    this.device = device
    this.api = api
    this.channels = channels
    this.signal = signal
  }

  async run() {
    for (;;) {
      const { cursor, queue } = await this.device.standing(Infinity)
      const waiting = queue.filter(({ added }) => added === undefined)
      const offset = await this.#offset(waiting.length > 0, cursor)
      const batch = this.#batch(waiting)
      try {
        const page = await this.#ask(batch, cursor, offset)
        await this.#write(page, batch, queue)
        if (!page.more && batch.length === waiting.length) return this.#total
        this.#size = Math.min(this.#size * 2, ACTIONS)
      } catch (error) {
        if (!(await this.#mended(error, batch))) throw error
      }
    }
  }

  /** What goes together: as much as fits, of one view of the world. @param {Queued[]} waiting */
  #batch(waiting) {
    let characters = 0
    const end = waiting.findIndex(({ action, seen }, i) => {
      characters += JSON.stringify(action).length
      return i >= this.#size || seen !== waiting[0]?.seen || (i > 0 && characters > CHARACTERS)
    })
    return end < 0 ? waiting : waiting.slice(0, end)
  }

  /**
   * @param {Queued[]} batch
   * @param {string | undefined} since
   * @param {number} offset
   * @returns {Promise<Page & { results?: Result[] }>}
   */
  async #ask(batch, since, offset) {
    const { api, channels, signal } = this
    const sent = Date.now()
    const actions = batch.map(({ action, id, time }) => /** @type {const} */ ([action, { id, time: time + offset }]))
    const page = await (actions.length === 0
      ? api.pull({ channels, signal, since })
      : api.sync({ actions: /** @type {any} */ (actions), channels, seen: batch[0]?.seen, signal, since }))
    const now = Date.now()
    const measured = Math.round((page.time[0] - sent + page.time[1] - now) / 2)
    await this.device.note({ clock: { at: now, offset: measured } })
    return page
  }

  /**
   * How far the server's clock is ahead; asked for before anything is pushed by it.
   * @param {boolean} needed
   * @param {string | undefined} since
   */
  async #offset(needed, since) {
    const known = await this.device.fact('clock')
    if (!needed) return 0
    if (known && Math.abs(Date.now() - known.at) < CLOCK_MS) return known.offset
    const sent = Date.now()
    const { time } = await this.api.pull({ limit: 1, signal: this.signal, since })
    return Math.round((time[0] - sent + time[1] - Date.now()) / 2)
  }

  /**
   * @param {Page & { results?: Result[] }} page
   * @param {Queued[]} batch
   * @param {Queued[]} queue
   */
  async #write(page, batch, queue) {
    const results = new Map((page.results ?? []).map(result => [result.id, result]))
    const undone = batch.filter(({ id }) => results.get(id)?.status === 'undone')
    const rest = queue.filter(queued => !undone.includes(queued))
    for (const queued of rest) {
      const result = results.get(queued.id)
      // What is in no log has its place now.
      if (result) Object.assign(queued, { added: result.added ?? 0 }, causality(result))
    }
    const change = placed(page, rest)
    for (const { at, id, action, time } of undone) {
      change.news.push({ action, id, time, undone: results.get(id)?.reason ?? 'error' })
      if (at !== undefined) change.answered.push(at)
    }
    await this.device.change(change)
    this.#count(change, page)
  }

  /** @param {{ answered: number[], news: News[] }} change @param {Page} page */
  #count(change, page) {
    this.#total.answered += change.answered.length
    this.#total.news += page.actions.length
    for (const [, { added }] of page.actions) this.#total.added = Math.max(this.#total.added, added)
  }

  /** Whether the next attempt is another one. @param {unknown} error @param {Queued[]} batch */
  async #mended(error, batch) {
    if (!(error instanceof Problem)) return false
    if (error.kind === 'foreign-cursor' || error.kind === 'malformed-cursor') {
      // What was added up is of another server: everything comes again from the beginning.
      await this.device.change({ answered: [], confirmed: [], cursor: error.cursor, news: [], reset: true })
      return true
    }
    if (error.kind === 'busy' && (error.retryAfter ?? Infinity) <= BUSY_S && this.#waits < BUSY_TIMES) {
      this.#waits += 1
      // The place of the device is kept until then.
      await pause((error.retryAfter ?? 0) * 1000, this.signal)
      this.signal?.throwIfAborted()
      return true
    }
    const reason = REASONS[error.kind]
    const [first] = batch
    if (!reason || !first) return false
    this.#size = Math.max(1, Math.floor(batch.length / 2))
    if (batch.length > 1) return true
    const { at, id, action, time } = first
    const news = [{ action, id, time, undone: reason }]
    await this.device.change({ answered: at === undefined ? [] : [at], confirmed: [], news })
    this.#total.answered += 1
    return true
  }
}

/**
 * A page with the device's own actions in their places: what was confirmed comes before the first that was placed after it.
 * @param {Page} page
 * @param {Queued[]} queue
 */
function placed(page, queue) {
  /** @type {News[]} */
  const news = []
  /** @type {number[]} */
  const answered = []
  let confirmed = queue.filter(({ added }) => added !== undefined).sort((a, b) => Number(a.added) - Number(b.added))
  const place = (/** @type {Queued} */ { at, id, action, time, added, ...known }) => {
    news.push({ action, added, id, own: true, time, ...causality(known) })
    if (at !== undefined) answered.push(at)
  }
  for (const [action, { id, time, added, channels, ...known }] of page.actions) {
    confirmed.filter(own => Number(own.added) < added).forEach(place)
    confirmed = confirmed.filter(own => Number(own.added) >= added && own.id !== id)
    const own = queue.find(queued => queued.id === id)
    if (own?.at !== undefined) answered.push(own.at)
    const about = { ...(own && { own: true }), ...(channels && { channels }), ...causality(known) }
    news.push({ action, added, id, time, ...about })
  }
  // The page ends where the log ended, after the push.
  if (!page.more) confirmed.splice(0).forEach(place)
  return { answered, confirmed, cursor: page.cursor, news }
}

/** What the server knows of who had seen what, if it was asked. @param {import('./http.js').Causality} known */
function causality({ dots, context }) {
  return dots && { context, dots }
}
