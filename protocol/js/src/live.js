// Following the log: by an event stream where the way lets one through, by long polls where it does not.

import { pause } from './pause.js'
import { Unreachable } from './problem.js'

/** @typedef {import('./http.js').Api} Api */
/** @typedef {import('./http.js').Page} Page */
/** @typedef {{ since?: string, channels?: string[], signal: AbortSignal }} Following */

/**
 * @typedef {object} LiveOptions
 * @property {'auto' | 'stream' | 'poll'} [live] how to hear of what is new; `auto` finds out whether streams get through
 * @property {number} [wait] seconds that a long poll waits; proxies that cut silent requests may want less
 * @property {number} [patience] milliseconds for a stream to begin
 */

/** A stream or a poll that ends sooner than this has not done its work. */
const SHORT_MS = 1000
/** So many short streams in a row, and streams are given up. */
const SHORT_STREAMS = 3

export class Live {
  /** @param {Api} api @param {LiveOptions} options */
  constructor(api, { live = 'auto', wait = 25, patience = 5000 } = {}) {
    this.api = api
    this.wait = wait
    this.patience = patience
    this.mayPoll = live !== 'stream'
    this.polling = live === 'poll'
  }

  /**
   * Pages above `since`, until `signal` is aborted. A stream that is cut is opened anew in silence; what fails from
   * its beginning is thrown.
   * @param {Following} following
   * @returns {AsyncGenerator<Page, void, void>}
   */
  async *pages({ since, channels, signal }) {
    let short = 0
    while (!signal.aborted) {
      const began = Date.now()
      let came = false
      try {
        for await (const page of this.#source({ since, channels, signal })) {
          if (page === null) continue
          came = true
          since = page.cursor
          yield page
        }
      } catch (error) {
        if (signal.aborted) return
        const streamBroke = error instanceof Unreachable && !this.polling
        if (!streamBroke || (!came && !this.mayPoll)) throw error
        if (this.mayPoll && (!came || error.silent)) {
          // If the server answers this, it is the stream that does not get through.
          const page = await this.api.pull({ since, channels, signal })
          this.polling = true
          since = page.cursor
          yield page
        }
      }
      short = Date.now() - began < SHORT_MS ? short + 1 : 0
      if (short === SHORT_STREAMS && this.mayPoll) this.polling = true
      if (short > 0) await pause(SHORT_MS * (short - 1), signal)
    }
  }

  /** @param {Following} following */
  #source(following) {
    return this.polling ? this.#polls(following) : this.api.stream({ ...following, patience: this.patience })
  }

  /** @param {Following} following @returns {AsyncGenerator<Page, void, void>} */
  async *#polls({ since, channels, signal }) {
    while (!signal.aborted) {
      const began = Date.now()
      const page = await this.api.pull({ since, channels, signal, wait: this.wait })
      since = page.cursor
      yield page
      // Waiting was cut short, by the server as it stops, or by something that answers in its place.
      const hasty = page.actions.length === 0 && !page.more && Date.now() - began < SHORT_MS
      if (hasty) await pause(SHORT_MS, signal)
    }
  }
}
