// Pages of bare `@logux/core`: protocol 4, whose clients cannot be installed beside those of today, and 7 as who uses
// the core alone speaks it. They have as much of a client as the tests use: verdicts, subscriptions that are named
// again, and the record of what was heard.

import * as core4 from 'logux-core-4'
import * as core7 from 'logux-core-7'

import { subprotocolIn } from './names.js'

let pages = 0

const KINDS = {
  '4': { core: core4, Connection: core4.WsConnection },
  '7 text, core alone': { core: core7, Connection: core7.WsConnection },
  '7 binary, core alone': { core: core7, Connection: core7.WsBinaryConnection }
}

/** How such a page can speak. */
export const BARE = Object.keys(KINDS)

class UndoError extends Error {
  name = 'LoguxUndoError'

  constructor(action) {
    super(`undone: ${JSON.stringify(action)}`)
    this.action = action
  }
}

const keyOf = ({ channel, filter }) => JSON.stringify(filter ? { channel, filter } : { channel })

export class BarePage {
  /** Actions that wait for their verdict, by id. */
  #waiting = new Map()
  #asked = new Map()
  subscriptions = {}
  last = {}

  constructor(url, options) {
    const { core, Connection } = KINDS[options.speaks]
    pages += 1
    this.options = options
    this.clientId = `${options.userId}:${options.clientId ?? `c${pages}`}`
    this.nodeId = `${this.clientId}:t${pages}`
    this.log = new core.Log({ nodeId: this.nodeId, store: options.store ?? new core.MemoryStore() })
    const connection = new core.Reconnect(new Connection(url), options)
    this.node = new core.ClientNode(this.nodeId, this.log, connection, {
      ...options,
      subprotocol: subprotocolIn(core === core4 ? 4 : 7, options.subprotocol),
      // Nothing is left out of the meta: what a log notes for itself is not the server's to mind.
      onSend: async (action, meta) => (meta.sync ? [action, meta] : false)
    })
    this.log.on('add', (action, meta) => this.#heard(action, meta))
    this.log.on('preadd', (action, meta) => {
      if (meta.sync && action.type !== 'logux/subscribe') meta.reasons = [...(meta.reasons ?? []), 'syncing']
      if (meta.sync && action.type === 'logux/subscribe' && !meta.resubscribe) meta.reasons = ['syncing']
    })
    let away = true
    this.node.on('state', () => {
      if (this.node.state === 'disconnected') away = true
      if (this.node.state !== 'synchronized' || !away) return
      away = false
      this.#back()
    })
  }

  /** Names the subscriptions again, on every connection. */
  #back() {
    for (const key of Object.keys(this.subscriptions)) {
      const action = { type: 'logux/subscribe', ...JSON.parse(key) }
      const since = this.last[action.channel]
      this.log.add(since ? { ...action, since } : action, { resubscribe: true, sync: true })
    }
  }

  get state() {
    return this.node.state
  }

  waitFor(state) {
    return this.node.waitFor(state)
  }

  start() {
    this.node.connection.connect()
  }

  destroy() {
    this.node.destroy()
  }

  sync(action, meta = {}) {
    const id = meta.id ?? this.log.generateId()
    const verdict = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    this.log.add(action, { ...meta, id, sync: true })
    return verdict
  }

  #heard(action, meta) {
    if (action.type === 'logux/subscribe' && meta.sync) this.#asked.set(meta.id, action)
    if (action.type === 'logux/unsubscribe' && meta.sync) delete this.subscriptions[keyOf(action)]
    if (action.type !== 'logux/processed' && action.type !== 'logux/undo') return
    const waiting = this.#waiting.get(action.id)
    this.#waiting.delete(action.id)
    const asked = this.#asked.get(action.id)
    if (action.type === 'logux/processed') {
      if (asked) {
        this.subscriptions[keyOf(asked)] = true
        this.last[asked.channel] = { id: meta.id, time: meta.time }
      }
      waiting?.resolve({ ...meta })
    } else {
      waiting?.reject(new UndoError(action))
    }
    this.#asked.delete(action.id)
    this.log.changeMeta(action.id, { reasons: this.options.keep && !asked ? ['kept'] : [] })
  }
}
