// A WebSocket proxy between client and server that records every frame and can cut, hold or drop at each.

import { once } from 'node:events'
import { WebSocket, WebSocketServer } from 'ws'

import { WsBinaryConnection } from 'logux-core-7'
import { Ledger } from './deadline.js'

export const UP = 'C>S'
export const DOWN = 'S>C'

/** Whether there is an action of this type in a frame. */
export const tells = (frame, type) => Array.isArray(frame) && frame.some(part => part?.type === type)

/** Reads frames of one direction as clients do, with their own decoder for the binary ones. */
class Reader extends WsBinaryConnection {
  constructor() {
    super('', Object)
    this.socket = {}
    this.init(this.socket)
    this.on('message', message => (this.message = message))
    this.on('error', () => (this.message = undefined))
  }

  read(data) {
    this.socket.onmessage({ data })
    return this.message
  }
}

/** One client connection and its twin to the server. */
class Link {
  constructor(proxy, number, client, request) {
    this.proxy = proxy
    this.number = number
    this.client = client
    this.count = { [UP]: 0, [DOWN]: 0 }
    this.held = { [UP]: [], [DOWN]: [] }
    this.early = []
    this.readers = { [UP]: new Reader(), [DOWN]: new Reader() }
    const headers = request.headers.cookie ? { cookie: request.headers.cookie } : {}
    const options = { headers, perMessageDeflate: false, maxPayload: 256 * 1024 * 1024 }
    this.server = new WebSocket(proxy.target.url + request.url, options)
    this.server.on('open', () => {
      for (const frame of this.early.splice(0)) this.server.send(frame)
    })
    client.on('message', (data, binary) => this.pass(UP, binary ? data : data.toString()))
    this.server.on('message', (data, binary) => this.pass(DOWN, binary ? data : data.toString()))
    for (const socket of [client, this.server]) {
      socket.on('error', () => {})
      socket.on('close', () => this.cut())
    }
  }

  pass(dir, data) {
    if (this.dead) return
    this.count[dir] += 1
    this.proxy.seen[dir] += 1
    const frame = this.read(dir, data)
    const name = Array.isArray(frame) ? frame[0] : undefined
    const verdict = this.proxy.rule?.({ dir, link: this, frame, name, seen: this.proxy.seen[dir] }) ?? 'pass'
    this.proxy.frames.push({ link: this.number, dir, frame, verdict })
    if (verdict === 'cut') return this.cut()
    if (verdict === 'drop') return
    if (verdict === 'hold' || this.held[dir].length > 0) return this.held[dir].push(data)
    this.forward(dir, data)
    if (verdict === 'pass-then-cut') this.cut()
  }

  /** What a frame says; a malformed one stays as it came. */
  read(dir, data) {
    const frame = this.readers[dir].read(data) ?? data
    // Ids and times of both directions are relative to what the server said.
    if (frame[0] === 'connected') this.readers[UP].baseTime = this.readers[DOWN].baseTime
    return frame
  }

  forward(dir, data) {
    if (dir === DOWN) this.client.send(data)
    else if (this.server.readyState === WebSocket.OPEN) this.server.send(data)
    else this.early.push(data)
  }

  release() {
    for (const dir of [UP, DOWN]) {
      for (const data of this.held[dir].splice(0)) this.forward(dir, data)
    }
  }

  /** Both sides see the connection go away without a close frame. */
  cut() {
    if (this.dead) return
    this.dead = true
    this.proxy.links.delete(this)
    this.client.terminate()
    this.server.terminate()
  }
}

export class Proxy {
  /** `target` is anything with a `url`; it is read for each connection, so a restart may change it. */
  static async open(target) {
    const proxy = new Proxy(target)
    await once(proxy.listener, 'listening')
    proxy.url = `ws://127.0.0.1:${proxy.listener.address().port}`
    return proxy
  }

  constructor(target) {
    this.target = target
    this.links = new Set()
    this.frames = new Ledger()
    this.seen = { [UP]: 0, [DOWN]: 0 }
    this.accepted = 0
    this.online = true
    /** Decides each frame: 'pass' (default), 'cut', 'pass-then-cut', 'drop' or 'hold'. */
    this.rule = undefined
    this.listener = new WebSocketServer({
      host: '127.0.0.1',
      port: 0,
      perMessageDeflate: false,
      maxPayload: 256 * 1024 * 1024,
      verifyClient: () => this.online
    })
    this.listener.on('connection', (client, request) => {
      this.accepted += 1
      this.links.add(new Link(this, this.accepted, client, request))
    })
  }

  /** The recorded frames that reached the other side, as `[name, ...]`, narrowed by direction, name and link. */
  list({ dir, name, link } = {}) {
    return this.frames.items
      .filter(i => i.verdict !== 'cut' && i.verdict !== 'drop')
      .filter(i => (dir ? i.dir === dir : true))
      .filter(i => (link ? i.link === link : true))
      .map(i => i.frame)
      .filter(frame => (name ? frame[0] === name : true))
  }

  /** Resolves when a frame that fits has passed. */
  passed(dir, fits, missing = 'a frame') {
    return this.frames.until(
      items => items.find(i => i.dir === dir && fits(i.frame, i)),
      missing
    )
  }

  release() {
    this.rule = undefined
    for (const link of this.links) link.release()
  }

  cut() {
    for (const link of [...this.links]) link.cut()
  }

  goOffline() {
    this.online = false
    this.cut()
  }

  goOnline() {
    this.online = true
  }

  async dispose() {
    this.goOffline()
    this.listener.close()
  }
}
