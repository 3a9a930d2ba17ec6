// Plain Redux, and Redux Toolkit: actions of the chosen types count at once, wait in IndexedDB for the server's verdict,
// and are taken back if that says so; what other devices did comes in the order of the log.

import { Device } from './device.js'
import { Emitter } from './emitter.js'
import { Api } from './http.js'
import { Fold, UNDONE } from './redux/fold.js'
import { Line } from './redux/line.js'

export { UNDONE }

/** @typedef {import('./http.js').Action} Action */
/** @typedef {import('./device.js').News} News */
/** @typedef {{ id?: string, action: Action, ms: number, sequence: number, seen?: string, kept: boolean }} Made */

/**
 * @typedef {object} TidelogOptions
 * @property {string} url where the server is
 * @property {string} user the user's id
 * @property {import('./http.js').Token} [token] proves the user; a function is asked before each request
 * @property {string[] | ((action: any) => boolean)} sync which actions go to the server: types, with `*` for any text
 * @property {string[]} [channels] what is read beside the user's own log
 * @property {boolean} [follow] whether to hear of news at once, and not only when the page wakes; true if not given
 * @property {'auto' | 'stream' | 'poll'} [live] how to hear of them
 * @property {(state: any) => any} [save] the part of the state that is kept; all of it if not given
 * @property {(saved: any, state: any) => any} [load] puts that part into a fresh state
 * @property {number} [version] of what is kept; a state of another version is dropped, and everything is pulled anew
 * @property {string} [name] of what is kept in IndexedDB; the user's id if not given
 * @property {boolean} [causality] news say who had seen what, for documents that the page merges
 * @property {boolean} [shareToken] keeps a token that is a text in IndexedDB, for the service worker
 * @property {typeof fetch} [fetch]
 * @property {RequestCredentials} [credentials]
 * @property {IDBFactory} [indexedDB]
 */

/** What stands for the whole state: the reducer that `reducer` makes knows it. */
const STATE = 'tidelog/state'
/** So many news, and the state is saved in their place. */
const SAVE_EVERY = 100

/** @param {TidelogOptions} options */
export function createTidelog(options) {
  return new Tidelog(options)
}

export class Tidelog {
  #emitter = new Emitter()
  /** @type {(state: any, action: any) => any} */
  #root = state => state
  /** @type {Fold<any> | undefined} */
  #fold
  /** @type {(action: any) => any} */
  #next = action => action
  /** @type {any} */
  #initial
  /** Made here, and not yet read back from IndexedDB. @type {Made[]} */
  #made = []
  /** @type {Map<string, { resolve: () => void, reject: (error: Error) => void }>} */
  #asked = new Map()
  /** @type {WeakMap<object, Promise<void>>} */
  #verdicts = new WeakMap()
  /** How far IndexedDB was read. */
  #read = { cursor: /** @type {string | undefined} */ (undefined), life: 0, saved: 0, through: -1 }
  #reading = Promise.resolve()
  #writing = Promise.resolve()
  #last = { ms: 0, sequence: 0 }
  #tab = globalThis.crypto.randomUUID().slice(0, 8)
  #closed = false

  /** @param {TidelogOptions} options */
  constructor(options) {
    this.options = options
    this.middleware = (/** @type {{ getState(): any }} */ store) => this.#middleware(store)
    this.#device = Device.open(options.name ?? options.user, options.indexedDB)
    /** Resolves when what IndexedDB had is in the store. */
    this.ready = this.#open()
    this.ready.catch(error => this.#emitter.emit('error', error))
  }

  /** @type {Promise<Device>} */
  #device

  /**
   * The reducer to give to the store in place of `root`.
   * @template {(state: any, action: any) => any} R
   * @param {R} root
   * @returns {R}
   */
  reducer(root) {
    this.#root = root
    const wrapped = (/** @type {any} */ state, /** @type {any} */ action) =>
      action.type === STATE ? action.state : root(state, action)
    return /** @type {R} */ (wrapped)
  }

  /**
   * Resolves when the server has taken the action; rejects with the reason when it has undone it. Only the page that
   * dispatched it can ask.
   * @param {object} action the one that was dispatched
   * @returns {Promise<void>}
   */
  verdict(action) {
    return this.#verdicts.get(action) ?? Promise.reject(new Error('this action was not dispatched here, or does not sync'))
  }

  /** What waits for the server, and whether that was reached when last tried. */
  get status() {
    return { online: this.#line?.online ?? false, pending: this.#fold?.pending.length ?? 0 }
  }

  /**
   * `state`: `status` has changed. `applied`: an action of another device (action, news). `undone`: (action, reason).
   * `error`: what time will not heal, such as a token that does not count.
   * @param {'state' | 'applied' | 'undone' | 'error' | 'unreachable'} event
   * @param {(...args: any[]) => void} listener
   */
  on(event, listener) {
    return this.#emitter.on(event, listener)
  }

  /** Asks the server now. */
  async pull() {
    await this.ready
    await this.#line?.wake()
    await this.#refresh()
  }

  /** Stays off the network, or comes back. @param {boolean} away */
  offline(away) {
    this.ready.then(() => this.#line?.stayAway(away))
  }

  /** What is read beside the user's own log from now on. @param {string[]} channels */
  async channels(channels) {
    await this.ready
    const device = await this.#device
    const about = await device.fact('about')
    // Without it the user has signed out of the service worker.
    if (about) await device.note({ about: { ...about, channels } })
    await this.#line?.read(channels)
    await this.#refresh()
  }

  /** Ends it. What is kept stays, and what waits goes out the next time. */
  async close() {
    this.#closed = true
    const device = await this.#device
    this.#line?.end()
    this.#bell?.close()
    await this.#writing
    await this.#reading
    device.close()
  }

  async #open() {
    const device = await this.#device
    const { channels = [], follow = true, live, shareToken, token, url, user, ...rest } = this.options
    const about = { channels, folds: true, url, user }
    await device.note(shareToken && typeof token === 'string' ? { about, token } : { about })
    const { causality, credentials, fetch } = rest
    const api = new Api({ causality, client: `${user}:${device.client}`, credentials, fetch, token, url })
    await this.#refresh()
    if (this.#closed) return
    this.#bell = new BroadcastChannel(`tidelog:${device.name}`)
    this.#bell.onmessage = () => this.#refresh()
    this.#line = new Line(device, api, { channels, follow, live })
    for (const event of /** @type {const} */ (['state', 'error', 'unreachable'])) {
      this.#line.emitter.on(event, (...args) => this.#emitter.emit(event, ...args))
    }
    this.#line.emitter.on('unreachable', () => this.#wakeLater())
    this.#line.emitter.on('news', () => this.#refresh().then(() => this.#ring()))
    this.#line.start()
  }

  /** @type {Line | undefined} */
  #line
  /** @type {BroadcastChannel | undefined} */
  #bell

  /** @param {{ getState(): any }} store */
  #middleware(store) {
    this.#initial = store.getState()
    return (/** @type {(action: any) => any} */ next) => {
      this.#next = next
      return (/** @type {any} */ action) => {
        const fold = (this.#fold ??= this.#begin())
        const result = next(action)
        if (this.#syncs(action)) this.#make(fold, action, store.getState())
        else fold.local(action, store.getState())
        return result
      }
    }
  }

  #begin() {
    return new Fold((state, action) => this.#root(state, action), this.#initial)
  }

  /** @param {any} action */
  #syncs(action) {
    if (typeof action?.type !== 'string') return false
    const { sync } = this.options
    if (typeof sync === 'function') return sync(action)
    return sync.some(pattern => fits(pattern, action.type))
  }

  /** @param {Fold<any>} fold @param {Action} action @param {any} visible */
  #make(fold, action, visible) {
    const now = Date.now()
    this.#last = now > this.#last.ms ? { ms: now, sequence: 0 } : { ...this.#last, sequence: this.#last.sequence + 1 }
    /** @type {Made} */
    const made = { action, kept: false, seen: this.#read.cursor, ...this.#last }
    this.#made.push(made)
    fold.add(made, visible)
    const verdict = new Promise((resolve, reject) => {
      this.#writing = this.#writing.then(() => this.#keep(made, { reject, resolve: () => resolve(undefined) }))
    })
    // Who does not ask need not hear.
    verdict.catch(() => {})
    this.#verdicts.set(action, /** @type {Promise<void>} */ (verdict))
    this.#emitter.emit('state')
  }

  /** @param {Made} made @param {{ resolve: () => void, reject: (error: Error) => void }} asked */
  async #keep(made, asked) {
    const { action, ms, seen, sequence } = made
    try {
      const device = await this.#device
      made.id = `${ms} ${this.options.user}:${device.client}:${this.#tab} ${sequence}`
      this.#asked.set(made.id, asked)
      await device.enqueue({ action, id: made.id, seen, time: ms })
      made.kept = true
      this.#ring()
      this.#line?.talk()
    } catch (error) {
      this.#emitter.emit('error', error)
    }
  }

  /** The other tabs look, too. */
  #ring() {
    if (!this.#closed) this.#bell?.postMessage('look')
  }

  #refresh() {
    this.#reading = this.#reading.then(() => this.#readOn()).catch(error => this.#emitter.emit('error', error))
    return this.#reading
  }

  async #readOn() {
    if (this.#closed) return
    const device = await this.#device
    const first = this.#read.through < 0
    let standing = await device.standing(first ? undefined : this.#read.through)
    const fold = (this.#fold ??= this.#begin())
    const before = fold.visible
    const restarts = first || standing.life !== this.#read.life || standing.floor > this.#read.through
    if (restarts) standing = await this.#restart(device, fold, first)
    const { cursor, life, news, queue } = standing
    const known = new Set([...queue, ...news].map(({ id }) => id))
    this.#made = this.#made.filter(made => !(made.id && known.has(made.id)) && !(restarts && made.kept))
    const waited = fold.pending.length
    fold.settle(news, [...queue, ...this.#made])
    this.#read = { ...this.#read, cursor, life, through: news.at(-1)?.at ?? Math.max(this.#read.through, 0) }
    if (fold.visible !== before) this.#next({ state: fold.visible, type: STATE })
    if (waited !== fold.pending.length) this.#emitter.emit('state')
    for (const one of news) this.#tell(one, first)
    if (this.#read.through - this.#read.saved >= SAVE_EVERY) await this.#save(device, fold)
  }

  /** @param {Device} device @param {Fold<any>} fold @param {boolean} first */
  async #restart(device, fold, first) {
    const { version = 0, load = saved => saved } = this.options
    let standing = await device.standing()
    let { snapshot } = standing
    if (snapshot && snapshot.version !== version) {
      // Another application saved it: from the beginning, with what waits.
      await device.change({ answered: [], confirmed: [], news: [], reset: true })
      standing = await device.standing()
      snapshot = undefined
    }
    const through = snapshot?.through ?? 0
    this.#read = { ...this.#read, saved: through, through }
    if (snapshot) fold.restart(load(snapshot.state, this.#initial))
    else if (!first) fold.restart(this.#initial)
    return standing
  }

  /** @param {Device} device @param {Fold<any>} fold */
  async #save(device, fold) {
    const { version = 0, save = state => state } = this.options
    const { life, through } = this.#read
    this.#read.saved = through
    await device.save({ life, state: save(fold.base), through, version })
  }

  /** @param {News} news @param {boolean} first */
  #tell(news, first) {
    const { id, action, own, undone } = news
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    if (undone) {
      asked?.reject(Object.assign(new Error(`the server undid ${action.type}: ${undone}`), { action, reason: undone }))
      if (!first) this.#emitter.emit('undone', action, undone)
    } else {
      asked?.resolve()
      if (!first && !own) this.#emitter.emit('applied', action, news)
    }
  }

  /** A browser that knows background sync wakes the service worker when the line is back, even if the page is gone. */
  async #wakeLater() {
    try {
      const registration = /** @type {any} */ (await globalThis.navigator?.serviceWorker?.getRegistration())
      await registration?.sync?.register('tidelog')
    } catch {
      // Without it, the page says it the next time that it is open.
    }
  }
}

/** @param {string} pattern @param {string} type */
function fits(pattern, type) {
  const [start = '', ...rest] = pattern.split('*')
  if (rest.length === 0) return pattern === type
  const end = rest.at(-1) ?? ''
  return type.startsWith(start) && type.endsWith(end) && type.length >= start.length + end.length
}
