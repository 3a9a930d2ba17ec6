// Connections for `@logux/core`, and so for `@logux/client` and `@logux/redux`: by HTTP, and by whatever gets through.

import { Reconnect, WsConnection } from '@logux/core'

import { FallbackConnection } from './connection/fallback-connection.js'
import { HttpConnection } from './connection/http-connection.js'

export { FallbackConnection, HttpConnection }

/** @typedef {import('./connection/http-connection.js').HttpOptions} HttpOptions */
/** @typedef {import('./connection/fallback-connection.js').FallbackOptions} FallbackOptions */
/** @typedef {import('./live.js').LiveOptions} LiveOptions */

/**
 * @typedef {object} OwnOptions
 * @property {'first' | 'never' | 'only'} [socket] `first` tries a WebSocket and falls back to HTTP by itself
 * @property {any} [WebSocket] its class, where there is none among the globals
 * @property {number} [attempts] as in `Reconnect` of `@logux/core`
 * @property {number} [minDelay] milliseconds
 * @property {number} [maxDelay] milliseconds
 */

/**
 * What to give to a client as its `server`. It connects again by itself.
 * @param {HttpOptions & FallbackOptions & LiveOptions & OwnOptions} options
 * @returns {Reconnect}
 */
export function tidelogConnection(options) {
  const { socket = 'first', attempts, minDelay, maxDelay } = options
  const reconnect = { attempts, maxDelay, minDelay }
  const Socket = options.WebSocket ?? globalThis.WebSocket
  const ws = socket === 'never' || !Socket ? undefined : new WsConnection(options.url.replace(/^http/, 'ws'), Socket)
  if (socket === 'only') {
    if (!ws) throw new Error('There are no WebSockets here: give the option WebSocket, or let socket be first')
    return new Reconnect(/** @type {any} */ (ws), reconnect)
  }
  const way = new FallbackConnection(/** @type {any} */ (ws), new HttpConnection(options), options)
  return new Reconnect(/** @type {any} */ (way), reconnect)
}
