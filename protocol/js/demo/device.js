// One simulated device: a client of its own, with its own store and its own connection, and the board as it sees it.

import { Client, IndexedStore } from '@logux/client'
import { tidelogConnection } from '../src/connection.js'
import { Document } from '../src/crdt/index.js'

/** As in a browser of its own: the id of the client stays when the page is loaded again. */
class OwnClient extends Client {
  getClientId() {
    return this.options.device
  }
}

export class Device {
  /** Hears of everything that may look different now. */
  onChange = () => {}
  #waiting = new Set()
  #acknowledged = 0
  #onDisk

  /** `slot` tells the tabs of one browser apart; `socket` says whether WebSockets are used. */
  constructor({ user, name, board, slot, socket }) {
    Object.assign(this, { user, name, board })
    this.key = `tidelog-demo:${board}:${user}:${name}:${slot}`
    let device = (localStorage[this.key] ??= `${name}-${crypto.randomUUID().slice(0, 8)}`)
    this.document = new Document(board, { client: `${user}:${device}` })
    this.client = new OwnClient({
      device,
      userId: user,
      token: user,
      subprotocol: 1,
      server: tidelogConnection({ url: location.origin, socket, causality: true, minDelay: 300, maxDelay: 2000 }),
      store: new IndexedStore(this.key),
      prefix: this.key
    })
    this.client.log.on('preadd', (action, meta) => {
      // What is of the board stays on the device, so that it is there offline as well.
      if (action.doc === board) meta.reasons.push('board')
    })
    this.client.log.on('add', (action, meta) => this.#heard(action, meta))
    this.client.node.on('state', () => this.onChange())
  }

  get isOnline() {
    return localStorage[`${this.key}:offline`] === undefined
  }

  get waiting() {
    return this.#waiting
  }

  /** Position up to which it has everything: what came, and what of its own is on disk. */
  get cursor() {
    return Math.max(Math.floor((this.client.node.lastReceived ?? 0) / 4096), this.#acknowledged)
  }

  /** In words: how it is connected. */
  get state() {
    if (!this.isOnline) return 'offline'
    if (!this.client.connected) return 'connecting…'
    return this.client.node.connection.connection.way === 'http' ? 'live over HTTP' : 'live over a WebSocket'
  }

  async start() {
    let kept = []
    await this.client.log.each({ order: 'added' }, (action, meta) => void kept.push([action, meta]))
    for (let [action, meta] of kept.reverse()) this.#take(action, meta)
    this.client.log.add({ type: 'logux/subscribe', channel: this.board }, { sync: true })
    if (this.isOnline) this.client.start()
    this.onChange()
  }

  switch(isOnline) {
    if (isOnline) {
      delete localStorage[`${this.key}:offline`]
      this.client.start()
    } else {
      localStorage[`${this.key}:offline`] = 'yes'
      this.client.node.connection.disconnect()
    }
    this.onChange()
  }

  /** Resolves once the action is in the device's own store; the server hears of it when there is a line. */
  act(action) {
    return action ? this.client.log.add(action, { sync: true }) : undefined
  }

  #heard(action, meta) {
    this.#take(action, meta)
    this.onChange()
  }

  #take(action, meta) {
    if (action.doc === this.board && meta.reasons.includes('syncing')) this.#waiting.add(meta.id)
    if (action.type === 'logux/processed' || action.type === 'logux/undo') this.#waiting.delete(action.id)
    let answered = action.type === 'logux/processed' && / server:\w+:(\d+) 0$/.exec(meta.id)
    if (answered) this.#acknowledged = Math.max(this.#acknowledged, Number(answered[1]))
    // What the server says of an action stays with it, for when the page is loaded again.
    if (action.type === 'logux/processed' && meta.dots) this.client.log.changeMeta(action.id, { context: meta.context, dots: meta.dots })
    this.document = this.document.apply(action, meta)
  }
}
