// One connection as the client's node sees it: `connect` is answered by a first pull, `sync` by pushes, and what the
// server has is read until the line breaks.

import { pause } from '../pause.js'
import { Problem } from '../problem.js'
import { answer, Frames } from './frames.js'
import { Memory } from './memory.js'
import { Pusher } from './pusher.js'
import { Reader } from './reader.js'

/** @typedef {import('./frames.js').Pair} Pair */

/**
 * @typedef {object} SessionOptions
 * @property {import('../http.js').Api} api
 * @property {import('../live.js').Live} live
 * @property {import('./cursors.js').Cursors} cursors
 * @property {Memory | undefined} memory of the former connection
 * @property {(message: any[]) => void} emit hands a message to the node
 * @property {(error: unknown) => void} fail ends the connection
 */

const PROTOCOL = 5
const NODE = 'server:http'
/** The client's first frame is answered before history starts, if it comes that soon, for `request()` of `@logux/client`. */
const FIRST_FRAME_MS = 50
/** A subscription whose load takes longer is acknowledged early: clients give up after 70 seconds. */
const LOAD_MS = 50_000

export class Session {
  #end = new AbortController()
  /** @type {(() => void)[]} */
  #unacknowledged = []
  #answered = Promise.resolve()
  /** @type {Promise<unknown>} */
  #pushed = Promise.resolve()
  #began = 0
  /** @type {Frames | undefined} */
  #frames
  /** Tried when the server knows nothing of the number. @type {string | undefined} */
  spare

  /** @param {SessionOptions} options */
  constructor(options) {
    this.options = options
    this.memory = options.memory
    this.pusher = new Pusher(options.api, this.#end.signal, error => this.#fail(error))
  }

  /** What the node says. @param {any[]} message */
  receive(message) {
    const [name, ...rest] = message
    if (name === 'connect') this.#connect(rest).catch(error => this.#fail(error))
    else if (name === 'sync') this.#sync(rest)
    else if (name === 'synced') this.#unacknowledged.shift()?.()
    // The line is watched where it is read: while it stands, this is true.
    else if (name === 'ping') queueMicrotask(() => this.#emit(['pong', this.memory?.number ?? 0]))
  }

  end() {
    this.#end.abort()
    this.options.cursors.drop()
    this.memory?.sleep()
  }

  /** @param {any[]} message */
  async #connect([protocol, nodeId, synced, options = {}]) {
    if (protocol !== PROTOCOL) {
      this.#emit(['error', 'wrong-protocol', { supported: PROTOCOL, used: protocol }])
      return this.#fail(new Error(`protocol ${protocol} is not spoken over HTTP`))
    }
    const { api } = this.options
    const client = nodeId.split(':').slice(0, 2).join(':')
    api.client = client
    api.token = options.token
    const memory = await this.#recall(nodeId, client, synced)
    this.memory = memory
    const time = await this.#signIn(memory)
    if (time === undefined || this.#end.signal.aborted) return
    this.#frames = new Frames(time[1], nodeId, options.subprotocol)
    const reader = new Reader({
      api,
      deliver: pairs => this.#show(pairs),
      live: this.options.live,
      memory,
      moved: cursor => this.options.cursors.keep(client, memory.number, cursor),
      signal: this.#end.signal
    })
    this.reader = reader
    this.resumedFrom = memory.cursor
    this.#began = time[0]
    this.#emit(['connected', PROTOCOL, NODE, time])
    await pause(FIRST_FRAME_MS, this.#end.signal)
    await this.#pushed
    await reader.run()
  }

  /**
   * @param {string} nodeId
   * @param {string} client
   * @param {number} synced
   */
  async #recall(nodeId, client, synced) {
    const former = this.memory
    const same = former?.nodeId === nodeId
    // Unless its page has had more by socket meanwhile.
    if (same && former.number >= synced) return former
    const memory = new Memory(nodeId)
    const kept = same ? former.cursor : undefined
    this.spare = kept ?? (await this.options.cursors.find(client, synced))
    // By socket or not, the store's number says where its page is; at another server a cursor may know better.
    memory.cursor = synced > 0 ? String(synced) : undefined
    memory.number = synced
    return memory
  }

  /**
   * The server's times, from a first pull that has nothing in it: what it had would count as had, though the line may
   * break before it is written down. None if the server refuses.
   * @param {Memory} memory
   * @returns {Promise<[number, number] | undefined>}
   */
  async #signIn(memory) {
    const { api } = this.options
    for (;;) {
      try {
        const page = await api.pull({ since: memory.cursor, limit: 0, signal: this.#end.signal })
        return page.time
      } catch (error) {
        if (!(error instanceof Problem)) throw error
        const unknown = error.kind === 'foreign-cursor' || error.kind === 'malformed-cursor'
        if (unknown && (memory.cursor !== undefined || this.spare !== undefined)) {
          memory.cursor = this.spare ?? error.cursor
          this.spare = undefined
        } else if (error.kind === 'not-signed-in' || error.kind === 'wrong-client') {
          this.#emit(['error', 'wrong-credentials'])
          return this.#fail(error)
        } else throw error
      }
    }
  }

  /** @param {any[]} message */
  #sync([added, ...data]) {
    if (!this.#frames) return
    const work = this.#process(this.#frames.read(data))
    // Acknowledgements keep the order of frames, because the client goes on above the greatest.
    this.#answered = this.#answered
      .then(() => work)
      .then(() => this.#emit(['synced', added]))
      .catch(error => this.#fail(error))
  }

  /** Has each action of a frame answered. @param {Pair[]} pairs */
  async #process(pairs) {
    const subscribes = pairs.filter(([{ type }]) => type === 'logux/subscribe')
    const unsubscribes = pairs.filter(([{ type }]) => type === 'logux/unsubscribe')
    const run = pairs.filter(([{ type }]) => type !== 'logux/subscribe' && type !== 'logux/unsubscribe')
    const pushed = run.length > 0 ? this.#push(run) : Promise.resolve()
    // A list that is asked for after a change has the change. Who waits for this hears of a failure elsewhere.
    this.#pushed = Promise.allSettled([this.#pushed, pushed])
    for (const [action] of unsubscribes) this.reader?.unsubscribe(action)
    await this.#answer(unsubscribes, unsubscribes.map(() => ({ status: 'processed' })))
    const loaded = subscribes.map(pair => this.#subscribe(pair))
    await pushed
    await atMost(LOAD_MS, Promise.all(loaded), this.#end.signal)
  }

  /** @param {Pair[]} pairs */
  async #push(pairs) {
    const older = pairs.some(([, { time }]) => time < this.#began)
    const { results, now } = await this.pusher.push(pairs, older ? this.resumedFrom : this.memory?.cursor)
    await this.#answer(pairs, results, now)
  }

  /** @param {Pair} pair */
  async #subscribe(pair) {
    await this.#pushed
    const result = await this.reader?.subscribe(pair[0])
    if (result) await this.#answer([pair], [result])
  }

  /**
   * @param {Pair[]} pairs
   * @param {{ status: string, reason?: string }[]} results
   * @param {number} [now]
   */
  #answer(pairs, results, now = 0) {
    const answers = pairs.flatMap((pair, i) => (results[i] ? [answer(pair, results[i], now)] : []))
    return answers.length > 0 ? this.#show(answers) : undefined
  }

  /** Resolves when the node has acknowledged it. @param {Pair[]} pairs @returns {Promise<void>} */
  #show(pairs) {
    const { promise, resolve } = later()
    this.#unacknowledged.push(resolve)
    this.#emit(['sync', this.memory?.number ?? 0, ...(this.#frames?.write(pairs) ?? [])])
    return promise
  }

  /** @param {any[]} message */
  #emit(message) {
    if (!this.#end.signal.aborted) this.options.emit(message)
  }

  /** @param {unknown} error @returns {undefined} */
  #fail(error) {
    if (!this.#end.signal.aborted) this.options.fail(error)
  }
}

/**
 * Resolves with `work`, or after `ms`.
 * @param {number} ms
 * @param {Promise<unknown>} work
 * @param {AbortSignal} signal
 */
async function atMost(ms, work, signal) {
  const done = new AbortController()
  const finish = () => done.abort()
  signal.addEventListener('abort', finish)
  work.then(finish, finish)
  await pause(ms, done.signal)
  signal.removeEventListener('abort', finish)
}

/** @returns {{ promise: Promise<void>, resolve: () => void }} */
function later() {
  /** @type {() => void} */
  let resolve = () => {}
  const promise = new Promise(done => (resolve = () => done(undefined)))
  return { promise: /** @type {Promise<void>} */ (promise), resolve }
}
