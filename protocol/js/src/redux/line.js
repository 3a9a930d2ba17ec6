// When a device talks to its server: as soon as there is something to say, for as long as somebody looks, when it comes
// back, and again after a while when that failed.

import { Emitter } from '../emitter.js'
import { exchange, take } from '../exchange.js'
import { Live } from '../live.js'
import { pause } from '../pause.js'
import { isPassing, Problem } from '../problem.js'
import { inTurn } from '../turn.js'

/** @typedef {import('../http.js').Api} Api */
/** @typedef {import('../device.js').Device} Device */

const BACKOFF_MAX_MS = 60_000

export class Line {
  emitter = new Emitter()
  /** Whether the last talk went well. */
  online = false
  #end = new AbortController()
  #away = false
  #failures = 0
  #wanted = false
  /** @type {Promise<void> | undefined} */
  #talking
  /** Stops a talk, following, or what waits. */
  #stops = { follow: new AbortController(), talk: new AbortController(), wait: new AbortController() }
  /** @type {(() => void)[]} */
  #unbind = []

  /**
   * @param {Device} device
   * @param {Api} api
   * @param {{ channels: string[], follow: boolean } & import('../live.js').LiveOptions} options
   */
  constructor(device, api, { channels, follow, ...live }) {
    this.device = device
    this.api = api
    this.channels = channels
    this.follow = follow
    this.live = new Live(api, live)
    const wake = () => globalThis.document?.visibilityState !== 'hidden' && this.wake()
    listen(this.#unbind, globalThis, ['online', 'focus'], wake)
    listen(this.#unbind, globalThis.document, ['visibilitychange'], () => {
      if (globalThis.document.visibilityState === 'hidden') this.#stops.follow.abort()
      else this.wake()
    })
  }

  /** Talks, and then follows the log if it is to. */
  async start() {
    await this.wake()
    if (this.follow) this.#follow().catch(error => this.emitter.emit('error', error))
  }

  /** There is something to say, or reason to ask. */
  talk() {
    this.#wanted = true
    this.#talking ??= this.#talk().finally(() => (this.#talking = undefined))
    return this.#talking
  }

  /** What waits for a better time need not wait longer. Resolves when the next attempt is over, well or not. */
  async wake() {
    this.#stops.wait.abort()
    if (this.#away) return
    const tried = new Promise(resolve => {
      const unbind = this.emitter.on('tried', () => resolve(unbind()))
    })
    this.talk()
    await tried
  }

  /** @param {boolean} away whether to stay off the network */
  stayAway(away) {
    this.#away = away
    this.#stop()
    if (away) this.#is(false)
    else this.talk()
  }

  /** @param {string[]} channels */
  read(channels) {
    this.channels = channels
    this.#stop()
    return this.talk()
  }

  end() {
    this.#end.abort()
    this.#stop()
    for (const unbind of this.#unbind) unbind()
  }

  async #talk() {
    while (this.#wanted && !this.#away && !this.#end.signal.aborted) {
      this.#wanted = false
      try {
        const signal = this.#fresh('talk')
        const { answered, news } = await exchange(this.device, this.api, { channels: this.channels, signal })
        this.#is(true)
        if (answered + news > 0) this.emitter.emit('news')
        if (!this.#wanted) this.emitter.emit('tried')
      } catch (error) {
        // The device may have moved on before it failed.
        this.emitter.emit('news')
        this.emitter.emit('tried')
        if (await this.#again(error)) this.#wanted = true
      }
    }
  }

  async #follow() {
    while (!this.#end.signal.aborted) {
      if (this.#away || globalThis.document?.visibilityState === 'hidden') {
        await this.#wait(BACKOFF_MAX_MS)
        continue
      }
      const signal = this.#fresh('follow')
      try {
        // One tab follows for all; the next takes over when it goes.
        await inTurn(`tidelog:${this.device.name}:live`, () => this.#read(signal), signal)
      } catch (error) {
        await this.#again(error)
      }
    }
  }

  /** @param {AbortSignal} signal */
  async #read(signal) {
    let since = await this.device.fact('cursor')
    for await (const page of this.live.pages({ channels: this.channels, signal, since })) {
      const cursor = await take(this.device, page, since)
      // What waits for a better time has it.
      if (!this.online) this.#stops.wait.abort()
      this.#is(true)
      if (page.actions.length > 0) this.emitter.emit('news')
      // An exchange has been faster: from where it is now.
      if (cursor !== page.cursor || signal.aborted) return
      since = cursor
    }
  }

  /** Whether to try again, after the time that this takes. @param {unknown} error */
  async #again(error) {
    if (this.#end.signal.aborted || this.#away || (error instanceof Error && error.name === 'AbortError')) return false
    if (error instanceof Problem && error.channel !== undefined && this.channels.includes(error.channel)) {
      this.channels = this.channels.filter(channel => channel !== error.channel)
      this.emitter.emit('error', error)
      return true
    }
    if (error instanceof Problem && error.kind === 'foreign-cursor') return this.talk().then(() => false)
    this.#is(false)
    if (isPassing(error)) this.emitter.emit('unreachable', error)
    else this.emitter.emit('error', error)
    this.#failures += 1
    const asked = error instanceof Problem ? (error.retryAfter ?? 0) * 1000 : 0
    await this.#wait(Math.max(asked, Math.min(500 * 2 ** this.#failures, BACKOFF_MAX_MS)))
    return isPassing(error)
  }

  /** @param {number} ms */
  #wait(ms) {
    return pause(ms, this.#fresh('wait'))
  }

  /** @param {'follow' | 'talk' | 'wait'} what */
  #fresh(what) {
    if (this.#stops[what].signal.aborted && !this.#end.signal.aborted) this.#stops[what] = new AbortController()
    return this.#stops[what].signal
  }

  #stop() {
    for (const stop of Object.values(this.#stops)) stop.abort()
  }

  /** @param {boolean} online */
  #is(online) {
    if (online) this.#failures = 0
    if (this.online === online) return
    this.online = online
    this.emitter.emit('state')
  }
}

/**
 * @param {(() => void)[]} unbind
 * @param {any} target
 * @param {string[]} events
 * @param {() => void} listener
 */
function listen(unbind, target, events, listener) {
  for (const event of events) {
    target?.addEventListener?.(event, listener)
    unbind.push(() => target?.removeEventListener?.(event, listener))
  }
}
