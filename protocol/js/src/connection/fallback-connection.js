// A socket if it can be had, HTTP if not. Nobody has to say which: a proxy that refuses sockets, one that lets them open
// and swallows what they say, and one that cuts them soon, all show as sockets that do not do their work while HTTP does.

import { Emitter } from '../emitter.js'

/** @typedef {{ connected: boolean, emitter: { on(event: any, listener: any): () => void }, connect(): Promise<void>, disconnect(reason?: any): void, send(message: any): void }} Connection */

/**
 * @typedef {object} FallbackOptions
 * @property {number} [patience] milliseconds for a socket to open and to bring its first message
 * @property {number} [again] milliseconds until a socket is tried again where none could be had
 * @property {number} [short] a socket that lives less than so many milliseconds, three times in a row, is as good as none
 */

const SHORT_LIVES = 3

export class FallbackConnection {
  connected = false
  emitter = new Emitter()
  /** @type {Connection | undefined} */
  #current
  /** Stops what belongs to the attempt. @type {() => void} */
  #leave = () => {}
  #doubted = false
  #blockedUntil = 0
  #shortLives = 0

  /**
   * @param {Connection | undefined} socket
   * @param {Connection & { url?: string }} http
   * @param {FallbackOptions} [options]
   */
  constructor(socket, http, { patience = 5000, again = 600_000, short = 30_000 } = {}) {
    this.socket = socket
    this.http = http
    this.url = http.url
    this.patience = patience
    this.again = again
    this.short = short
  }

  /** What is in use: `socket`, `http`, or nothing. */
  get way() {
    if (!this.#current) return undefined
    return this.#current === this.http ? 'http' : 'socket'
  }

  /**
   * @param {string} event
   * @param {(...args: any[]) => void} listener
   */
  on(event, listener) {
    return this.emitter.on(event, listener)
  }

  /** @returns {Promise<any>} resolves once there is a connection */
  connect() {
    if (this.#current) return Promise.resolve()
    const opened = new Promise(resolve => {
      const unbind = this.on('connect', () => resolve(unbind()))
    })
    this.emitter.emit('connecting')
    const mayUseSocket = !this.#doubted && Date.now() >= this.#blockedUntil
    if (this.socket && mayUseSocket) this.#useSocket(this.socket)
    else this.#useHttp()
    return opened
  }

  /** @param {string} [reason] */
  disconnect(reason) {
    if (!this.#current) return
    const current = this.#current
    this.#forget()
    current.disconnect(reason)
    this.emitter.emit('disconnect', reason)
  }

  destroy() {
    this.disconnect('destroy')
  }

  /** @param {any} message */
  send(message) {
    if (this.#current) this.#current.send(message)
    else this.emitter.emit('error', new Error('The connection is closed'))
  }

  /** @param {Connection} socket */
  #useSocket(socket) {
    let spoke = 0
    const failed = () => {
      const { connected } = this
      if (connected && spoke > 0) this.#notice(Date.now() - spoke)
      if (connected && spoke === 0) this.#doubted = true
      if (connected) return this.disconnect('error')
      this.#forget()
      socket.disconnect()
      this.#useHttp()
    }
    const timer = setTimeout(failed, this.patience)
    this.#use(socket, {
      disconnect: failed,
      // Of an open socket, it is the node's to know.
      error: error => (this.connected ? this.emitter.emit('error', error) : failed()),
      message: message => {
        clearTimeout(timer)
        spoke ||= Date.now()
        this.emitter.emit('message', message)
      }
    })
    const leave = this.#leave
    this.#leave = () => {
      clearTimeout(timer)
      leave()
    }
    try {
      socket.connect().catch(failed)
    } catch {
      // A page may be forbidden to open sockets at all.
      failed()
    }
  }

  #useHttp() {
    const { http } = this
    this.#use(http, {
      disconnect: reason => {
        this.#doubted = false
        this.#forget()
        this.emitter.emit('disconnect', reason)
      },
      error: error => this.emitter.emit('error', error),
      message: message => {
        // What did not work by socket does work like this.
        if (message[0] === 'connected' && Date.now() >= this.#blockedUntil) this.#blockedUntil = Date.now() + this.again
        this.emitter.emit('message', message)
      }
    })
    http.connect()
  }

  /**
   * @param {Connection} connection
   * @param {Record<'disconnect' | 'error' | 'message', (argument: any) => void>} listeners
   */
  #use(connection, listeners) {
    this.#current = connection
    const unbind = [
      connection.emitter.on('connect', () => {
        this.connected = true
        this.emitter.emit('connect')
      }),
      ...Object.entries(listeners).map(([event, listener]) => connection.emitter.on(event, listener))
    ]
    this.#leave = () => unbind.forEach(i => i())
  }

  #forget() {
    this.#leave()
    this.#current = undefined
    this.connected = false
  }

  /** A socket that had worked is gone. @param {number} lived milliseconds */
  #notice(lived) {
    this.#shortLives = lived < this.short ? this.#shortLives + 1 : 0
    if (this.#shortLives < SHORT_LIVES) return
    this.#shortLives = 0
    this.#doubted = true
  }
}
