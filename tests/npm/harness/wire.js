// A bare WebSocket that speaks the wire by hand, for what no client package would send.

import { WebSocket } from 'ws'

import { Ledger, within } from './deadline.js'
import { nameOf, subprotocolIn, threeParts } from './names.js'

export class Wire {
  /**
   * Options: `protocol`; `headers` of the upgrade request; `acknowledge: false` leaves every `synced` to the test.
   */
  static async open(url, { acknowledge = true, protocol = 5, ...options } = {}) {
    const wire = new Wire(url, options)
    wire.acknowledge = acknowledge
    wire.protocol = protocol
    await within(wire.opened, `no WebSocket at ${url}`)
    return wire
  }

  constructor(url, options) {
    this.socket = new WebSocket(url, { perMessageDeflate: false, ...options })
    this.frames = new Ledger()
    this.opened = new Promise((resolve, reject) => {
      this.socket.on('open', resolve)
      this.socket.on('error', reject)
    })
    this.closed = new Promise(resolve => this.socket.on('close', resolve))
    this.socket.on('message', (data, binary) => {
      const text = data.toString()
      const frame = binary ? { binary: text } : JSON.parse(text)
      this.frames.push(frame)
      if (this.acknowledge && frame[0] === 'sync') this.send(['synced', frame[1]])
    })
  }

  /** Sends one frame: an array as JSON, a string or bytes as they are. */
  send(frame) {
    this.socket.send(Array.isArray(frame) ? JSON.stringify(frame) : frame)
  }

  get received() {
    return this.frames.items
  }

  /** The n-th frame (from 1) that has this name, and fits. */
  next(name, { fits = () => true, nth = 1 } = {}) {
    const found = items => items.filter(i => i[0] === name && fits(i))[nth - 1]
    return this.frames.until(found, `${name} frame`)
  }

  /** connect, as the protocol writes it. */
  connect(node, { synced = 0, token, subprotocol }) {
    const options = { token, subprotocol: subprotocolIn(this.protocol, subprotocol) }
    this.send(['connect', this.protocol, node, synced, options])
  }

  /** connect, and the answer's frame; `node` is the whole node id. */
  async signIn(node, { synced = 0, token = 'any', subprotocol = 10 } = {}) {
    this.node = node
    this.connect(node, { synced, token, subprotocol })
    const connected = await this.next('connected')
    this.base = connected[3][1]
    return connected
  }

  /** The verdicts that were received for an action id: `logux/processed` and `logux/undo`. */
  verdicts(id) {
    const isVerdict = ({ type }) => /^logux\/(processed|undo)$/.test(type)
    return this.actions().filter(([action]) => isVerdict(action) && threeParts(action.id) === id)
  }

  /** All pairs of action and meta that came in `sync` frames, ids in their full form. */
  actions() {
    const pairs = []
    for (const frame of this.received) {
      if (frame[0] !== 'sync') continue
      for (let i = 2; i < frame.length; i += 2) pairs.push([frame[i], this.#meta(frame[i + 1]), frame[1]])
    }
    return pairs
  }

  #meta(meta) {
    const sender = this.received.find(i => i[0] === 'connected')[2]
    const time = meta.time + this.base
    if (this.protocol === 7) {
      return { ...meta, id: threeParts(meta.id.includes(' ') ? meta.id : `${meta.id} ${sender}`), time }
    }
    const [shift, node, sequence] =
      typeof meta.id === 'number'
        ? [meta.id, sender, 0]
        : meta.id.length === 2
          ? [meta.id[0], sender, meta.id[1]]
          : meta.id
    return { ...meta, id: `${shift + this.base} ${node} ${sequence}`, time }
  }

  /** What says when, by whom and as which an action was made. */
  meta(offset, node = this.node, sequence = 0) {
    const short = node === this.node && sequence === 0
    const inParts = short ? offset : [offset, node, sequence]
    const id = this.protocol === 7 ? nameOf(7, this.base + offset, node, sequence) : inParts
    return { id, time: offset }
  }

  /** Sends actions in one sync and waits for its `synced`; ids are `base + offset`, own node, sequence 0. */
  async sync(number, ...actions) {
    const pairs = actions.flatMap(([action, offset]) => [action, this.meta(offset)])
    this.send(['sync', number, ...pairs])
    await this.next('synced', { fits: i => i[1] === number })
  }

  /** An id, with its three parts. */
  id(offset, sequence = 0) {
    return `${this.base + offset} ${this.node} ${sequence}`
  }

  /** Resolves when the other side has closed, with all frames that came before. */
  async end() {
    await within(this.closed, () => `the close; frames were ${JSON.stringify(this.received)}`)
    return this.received
  }

  dispose() {
    this.socket.on('error', () => {})
    this.socket.terminate()
  }
}
