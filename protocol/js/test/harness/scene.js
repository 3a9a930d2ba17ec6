// What a test opens is closed when the test ends, in reverse order, also when it fails.

import { Client } from '@logux/client'
import { after } from 'node:test'
import { WebSocket } from 'ws'

import { tidelogConnection } from '../../src/connection.js'
import { Ledger, within } from '../../../../tests/npm/harness/deadline.js'
import { RULES } from '../../../../tests/npm/harness/rules.js'
import { Server } from '../../../../tests/npm/harness/server.js'
import { Proxy } from './proxy.js'

export { Ledger, within } from '../../../../tests/npm/harness/deadline.js'
export { RULES } from '../../../../tests/npm/harness/rules.js'
export { storedLog } from '../../../../tests/npm/harness/server.js'

/** A server for a whole test file; each test takes users of its own. */
export async function sharedServer(options = { config: RULES }) {
  const server = await Server.start(options)
  after(() => server.dispose())
  return server
}

/** Where the server's HTTP is. */
export const httpOf = at => at.url.replace(/^ws/, 'http')

let users = 0

export class Scene {
  #closers = []

  constructor(t) {
    t.after(async () => {
      for (const close of this.#closers.reverse()) await close()
    })
  }

  user() {
    users += 1
    return `u${users}`
  }

  onEnd(close) {
    this.#closers.push(close)
  }

  async server(options = { config: RULES }) {
    const server = await Server.start(options)
    this.onEnd(() => server.dispose())
    return server
  }

  async proxy(target) {
    const proxy = await Proxy.open(target)
    this.onEnd(() => proxy.dispose())
    return proxy
  }

  connection(at, options = {}) {
    const usual = { WebSocket, maxDelay: 60, minDelay: 20, socket: 'never', storage: new Shelf() }
    return tidelogConnection({ url: httpOf(at), ...usual, ...options })
  }

  /** A client of `@logux/client` that the test starts itself; `over` has the options of its connection. */
  idlePage(at, { userId, over, Class = Client, keep = true, ...options }) {
    const server = this.connection(at, over)
    const client = new Class({ server, subprotocol: 10, timeout: 5000, token: userId, userId, ...options })
    this.onEnd(() => client.destroy())
    client.heard = new Ledger()
    client.log.on('add', (action, meta) => client.heard.push({ action, meta: { ...meta } }))
    client.errors = new Ledger()
    client.node.catch(error => client.errors.push(error))
    if (keep) {
      client.log.on('preadd', (action, meta) => {
        if (!action.type.startsWith('logux/')) meta.reasons.push('kept')
      })
    }
    return client
  }

  async page(at, options) {
    const client = this.idlePage(at, options)
    client.start()
    await reaches(client, 'synchronized')
    return client
  }
}

/** What a connection keeps cursors in. */
export class Shelf extends Map {
  getItem(key) {
    return this.get(key) ?? null
  }

  setItem(key, value) {
    this.set(key, value)
  }

  removeItem(key) {
    this.delete(key)
  }
}

export function reaches(client, state) {
  return within(client.waitFor(state), () => `the page did not become ${state}; it is ${client.state}`)
}

/** Dispatches and waits for the verdict: resolves on processed, rejects on undo. */
export function send(client, action, meta) {
  return within(client.sync(action, meta), () => `no verdict on ${JSON.stringify(action)}`)
}

/** What was heard of a type, as its `n`. */
export const ns = (client, type = 'app/add') =>
  client.heard.items.filter(({ action }) => action.type === type).map(({ action }) => action.n)

/** Resolves when the actions of a type that were heard are `count`. */
export function hears(client, count, type = 'app/add') {
  return client.heard.until(() => ns(client, type).length >= count && ns(client, type), `${count} × ${type}`)
}
