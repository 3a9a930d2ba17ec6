// What runs when no page does: a push wakes it, it pulls into IndexedDB, tells pages, and shows a notification; and when
// the line is back, it sends what was done offline.

import { Device } from './device.js'
import { exchange } from './exchange.js'
import { Api } from './http.js'
import { isPassing } from './problem.js'
import { announce } from './push.js'

/** @typedef {{ title: string, body?: string, url?: string }} Message */
/** @typedef {{ head?: number, message?: Message, news: number, visible: boolean }} Woken */

/**
 * @typedef {object} WorkerOptions
 * @property {(about: import('./device.js').About) => string | undefined | Promise<string | undefined>} [token] proves the
 *   user; the one that a page has shared if not given
 * @property {RequestCredentials} [credentials]
 * @property {typeof fetch} [fetch]
 * @property {IDBFactory} [indexedDB]
 * @property {string} [title] when there is no message; `You have new updates` if not given
 * @property {NotificationOptions} [notification] such as `icon` and `badge`
 * @property {(woken: Woken) => (NotificationOptions & { title: string }) | false | undefined} [notify] says what to show
 *   instead; false shows nothing, for which browsers take the permission away if a page is not visible
 * @property {string} [open] the page that a click opens when the message names none
 * @property {number} [patience] milliseconds for the pull; a browser ends a worker that takes long over a push
 */

const TITLE = 'You have new updates'
const TAG = 'tidelog'
const PATIENCE_MS = 20_000

/**
 * Listens to `push`, `notificationclick`, `sync` and `pushsubscriptionchange`. To be called when the worker starts.
 * @param {WorkerOptions} [options]
 * @param {any} [scope] the worker's global scope
 */
export function startTidelog(options = {}, scope = globalThis) {
  const worker = new Worker(options, scope)
  const listen = (/** @type {string} */ name, /** @type {(event: any) => Promise<unknown>} */ work) =>
    scope.addEventListener(name, (/** @type {any} */ event) => event.waitUntil(work(event)))
  listen('push', event => worker.wake(read(event.data)))
  listen('notificationclick', event => worker.open(event.notification))
  listen('pushsubscriptionchange', () => worker.announce())
  scope.addEventListener('sync', (/** @type {any} */ event) => {
    if (event.tag === TAG) event.waitUntil(worker.catchUp())
  })
}

class Worker {
  /** @param {WorkerOptions} options @param {any} scope */
  constructor(options, scope) {
    this.options = options
    this.scope = scope
  }

  /** @param {{ head?: number, message?: Message }} payload */
  async wake(payload) {
    // What could not be pulled will be when it can: that something has come is to be shown all the same.
    const { news } = await this.exchange()
    const pages = await this.#pages()
    const visible = pages.some(({ visibilityState }) => visibilityState === 'visible')
    const shown = this.#notification({ ...payload, news, visible })
    if (shown) await this.scope.registration.showNotification(shown.title, shown)
  }

  /** @param {Notification} notification */
  async open(notification) {
    notification.close()
    const home = new URL(this.options.open ?? '', this.scope.registration.scope)
    const url = leading(notification.data?.url ?? '', home)
    const pages = await this.#pages()
    const there = pages.find(page => page.url === url)
    if (there) return there.focus()
    const [page] = notification.data?.url ? [] : pages
    return page ? page.focus() : this.scope.clients.openWindow(url)
  }

  /** What was done offline goes out; throws if something is left for a better time, so that the browser tries again. */
  async catchUp() {
    const { failed } = await this.exchange()
    if (failed) throw failed
  }

  /**
   * The browser has given the subscription up: another one is registered in its place. Who registers is told of what comes
   * from then on, so what came while the old one was dead is pulled.
   */
  async announce() {
    const unannounced = await this.#each(async (device, api) => {
      const push = await device.fact('push')
      if (push) await announce(api, device, this.scope.registration, push)
    })
    const { failed } = await this.exchange()
    if (unannounced ?? failed) throw unannounced ?? failed
  }

  /**
   * Pushes and pulls for each user of this browser.
   * @returns {Promise<{ news: number, failed: unknown }>} how much news there is, and why something is left
   */
  async exchange() {
    let total = 0
    const failed = await this.#each(async (device, api, about) => {
      try {
        const signal = AbortSignal.timeout(this.options.patience ?? PATIENCE_MS)
        const { answered, news } = await exchange(device, api, { channels: about.channels, signal })
        total += news
        if (!about.folds) await device.trim()
        if (answered + news > 0) await this.#tell(device, about, news)
      } catch (error) {
        // What the server refuses for good is for a page to say.
        if (isPassing(error) || (error instanceof Error && error.name === 'TimeoutError')) throw error
      }
    })
    return { failed, news: total }
  }

  /**
   * Works for one user after the other, whatever comes of those before.
   * @param {(device: Device, api: Api, about: import('./device.js').About) => Promise<void>} work
   * @returns {Promise<unknown>} the first error
   */
  async #each(work) {
    /** @type {unknown} */
    let failed
    try {
      for (const name of await Device.names(this.options.indexedDB)) {
        await this.#one(name, work).catch(error => (failed ??= error))
      }
    } catch (error) {
      failed = error
    }
    return failed
  }

  /** @param {string} name @param {(device: Device, api: Api, about: import('./device.js').About) => Promise<void>} work */
  async #one(name, work) {
    const { credentials, fetch, indexedDB } = this.options
    const device = await Device.open(name, indexedDB)
    try {
      const about = await device.fact('about')
      if (!about) return
      const token = (await this.options.token?.(about)) ?? (await device.fact('token'))
      const client = `${about.user}:${device.client}`
      await work(device, new Api({ client, credentials, fetch, token, url: about.url }), about)
    } finally {
      device.close()
    }
  }

  /** @param {Device} device @param {import('./device.js').About} about @param {number} news */
  async #tell(device, { user }, news) {
    // Stores of `tidelog/redux` listen to this, other pages to messages of the worker.
    const bell = new BroadcastChannel(`tidelog:${device.name}`)
    bell.postMessage('look')
    bell.close()
    for (const page of await this.#pages()) page.postMessage({ news, type: 'tidelog/news', user })
  }

  /** @returns {Promise<any[]>} */
  #pages() {
    return this.scope.clients.matchAll({ includeUncontrolled: true, type: 'window' })
  }

  /** @param {Woken} woken @returns {(NotificationOptions & { title: string }) | undefined} */
  #notification(woken) {
    const { notification, notify, title = TITLE } = this.options
    const given = notify?.(woken)
    if (given === false) return undefined
    if (given) return { tag: TAG, ...notification, ...given }
    const { message, visible } = woken
    if (!message) return visible ? undefined : { tag: TAG, ...notification, title }
    const { body, url } = message
    return { body, data: { url }, tag: TAG, ...notification, title: message.title }
  }
}

/**
 * Where a message leads. It is made of what users wrote: if that is no address, or leads elsewhere, it leads home.
 * @param {string} url
 * @param {URL} home
 */
function leading(url, home) {
  try {
    const wanted = new URL(url, home)
    if (wanted.origin === home.origin) return wanted.href
  } catch {
    // It was clicked, and something has to happen.
  }
  return home.href
}

/**
 * What a push says; nothing of one that is not in a form that is known here.
 * @param {{ json(): any } | null} data
 * @returns {{ head?: number, message?: Message }}
 */
function read(data) {
  try {
    const { tidelog, head, message } = data?.json() ?? {}
    if (tidelog === 1) return { head, message: typeof message?.title === 'string' ? message : undefined }
  } catch {
    // Another server's push: what it is for shows when it is pulled.
  }
  return {}
}
