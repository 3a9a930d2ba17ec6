// Pages: real clients from npm, each with a record of everything that its listeners heard.

import { WebSocket } from 'ws'

import { BARE, BarePage } from './bare.js'
import { Ledger, within } from './deadline.js'
import { nameOf } from './names.js'
import { kindOf } from './spoken.js'

const SHOW_FRAMES = process.env.SHOW_FRAMES !== undefined
let sockets = 0

/** What pages trust beside the authorities of the system: a certificate in PEM. */
export const trusted = {}

/** As in a browser, each message is a task of its own; otherwise `ws` hands over several at once. */
globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { allowSynchronousEvents: false, ...trusted })
    this.number = sockets += 1
    if (SHOW_FRAMES) this.on('message', data => console.log(`${this.number} < ${data}`))
  }

  send(data) {
    if (SHOW_FRAMES) console.log(`${this.number} > ${data}`)
    super.send(data)
  }
}

const DEFAULTS = {
  allowDangerousProtocol: true,
  maxDelay: 60,
  minDelay: 50,
  ping: 700,
  subprotocol: 10,
  timeout: 3000,
  token: 'any'
}

/** A client that is given its client id, as a browser gives all tabs of a user the same one. */
const sameClient = Client =>
  class extends Client {
    getClientId() {
      return this.options.clientId ?? super.getClientId()
    }
  }

/** What the `add` listeners of a client heard: those of its log, or of whatever else has `on`. */
export class Heard extends Ledger {
  constructor(client, source = client.log) {
    super()
    source.on('add', (action, meta) => this.push({ action, meta: { ...meta } }))
  }

  /** Everything heard that fits: a type, or a test of action and meta. */
  list(what) {
    const fits = typeof what === 'string' ? ({ action }) => action.type === what : what
    return this.items.filter(fits)
  }

  count(what) {
    return this.list(what).length
  }

  /** Resolves with the items that fit once there are `count` of them. */
  async times(what, count = 1) {
    return this.until(() => {
      const items = this.list(what)
      return items.length >= count && items
    }, `${count} × ${what}`)
  }
}

let lastTick = 0

/**
 * One clock for all pages of a test, which never shows a time twice. Pages with it do not mend theirs by the server's:
 * mending is exact to a round trip only, and who wrote last must not hang on it.
 */
export function oneClock() {
  lastTick = Math.max(Date.now(), lastTick + 1)
  return lastTick
}
oneClock.unmended = true

/** From now on that clock shows a time which is later by so much. */
export function passTime(ms) {
  lastTick = Math.max(Date.now(), lastTick) + ms
}

/** A clock that is wrong by so much, and stays so: that of a device which nobody tells the time. */
export function wrongClock(ms) {
  return Object.assign(() => oneClock() + ms, { unmended: true })
}

/** Has the client take the time from `clock`, for its ids and for mending it by the server's. */
function setClock(client, clock) {
  client.node.options.fixTime = !clock.unmended
  if (client.node.localProtocol === 7) {
    client.log.now = clock
    return
  }
  client.node.now = clock
  client.log.generateId = function () {
    const now = clock()
    this.sequence = now > this.lastTime ? 0 : this.sequence + 1
    this.lastTime = Math.max(now, this.lastTime)
    return `${this.lastTime} ${this.nodeId} ${this.sequence}`
  }
}

function openClient(url, kind, crossTab, options) {
  const Client = crossTab ? kind.api.CrossTabClient : sameClient(kind.api.Client)
  return new Client({ ...options, server: kind.connection?.(url, options) ?? url })
}

/**
 * A page that is not yet connected. `keep` gives every action of an application a reason, as an application with
 * a persistent log does; without it an action lives in the client only until it is processed. `clock` replaces the
 * machine's clock. `speaks` is how it speaks: one of `SPOKEN` or `BARE`.
 */
export function createPage(url, { keep = false, crossTab = false, speaks = 'client', clock, ...given }) {
  const kind = kindOf(speaks)
  const options = { ...DEFAULTS, ...given }
  const client = BARE.includes(speaks)
    ? new BarePage(url, { ...options, keep, speaks })
    : openClient(url, kind, crossTab, options)
  client.kind = kind
  if (clock) setClock(client, clock)
  if (client.node.localProtocol === 7) {
    // What it sends just as its line breaks it waits for ever after (see docs/clients.md), and is never synchronized.
    client.node.connection.on('connecting', () => (client.node.syncing = 0))
  }
  client.heard = new Heard(client)
  client.errors = new Ledger()
  client.node.catch(error => client.errors.push({ type: error.type, message: error.message, options: error.options }))
  if (keep) {
    client.log.on('preadd', (action, meta) => {
      if (!action.type.startsWith('logux/')) meta.reasons.push('kept')
    })
  }
  return client
}

/** The id of an action that the page makes at `ms`. */
export const idAt = (page, ms, sequence) => nameOf(page.node.localProtocol, ms, page.nodeId, sequence)

/** Resolves when the page's state is `state`. */
export function reaches(client, state, ms) {
  const text = () =>
    `the page did not become ${state}; it is ${client.state}, errors ${JSON.stringify(client.errors.items)}`
  return within(client.waitFor(state), text, ms)
}

/** Dispatches to the server and waits for the verdict: resolves on processed, rejects on undo. */
export function send(client, action, meta) {
  return within(client.sync(action, meta), () => `no verdict on ${JSON.stringify(action)}`)
}

/** The reason with which the server undid an action. */
export async function undone(client, action, meta) {
  try {
    await send(client, action, meta)
  } catch (error) {
    if (error.name !== 'LoguxUndoError') throw error
    return error.action
  }
  throw new Error(`${JSON.stringify(action)} was processed`)
}

/** Everything that the server has sent to this page up to now has been heard when this resolves. */
export async function settled(client) {
  await send(client, { type: 'app/settled' })
}

/** The actions in the page's log, oldest first, as `[action, meta]`. */
export async function kept(client) {
  const list = []
  await client.log.each((action, meta) => {
    list.unshift([action, meta])
  })
  return list
}
