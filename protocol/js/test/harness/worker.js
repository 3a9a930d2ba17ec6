// As much of a service worker's scope as the module needs: events that wait, pages, notifications, a push service.

import 'fake-indexeddb/auto'

import { startTidelog } from '../../src/service-worker.js'

const KEY = new Uint8Array(65).fill(4)
export const PUBLIC_KEY = Buffer.from(KEY).toString('base64url')

export class FakePush {
  home = 'https://push.example'
  keys = { auth: 'a', p256dh: 'p' }
  subscribed = 0
  subscription = null

  async getSubscription() {
    return this.subscription
  }

  async subscribe({ applicationServerKey, userVisibleOnly }) {
    if (!userVisibleOnly) throw new Error('a browser demands userVisibleOnly')
    this.subscribed += 1
    const endpoint = `${this.home}/${this.subscribed}`
    this.subscription = {
      options: { applicationServerKey: Uint8Array.from(applicationServerKey).buffer },
      toJSON: () => ({ endpoint, keys: this.keys }),
      unsubscribe: async () => (this.subscription = null)
    }
    return this.subscription
  }
}

export class FakeWorker extends EventTarget {
  pages = []
  opened = []
  shown = []
  told = []

  constructor(options) {
    super()
    this.registration = {
      pushManager: new FakePush(),
      scope: 'https://app.example/',
      showNotification: async (title, notification) => this.shown.push({ ...notification, title })
    }
    this.clients = {
      matchAll: async () => this.pages,
      openWindow: async url => this.opened.push(url)
    }
    startTidelog(options, this)
  }

  page(url, visibilityState = 'visible') {
    const page = { focused: 0, url, visibilityState }
    page.focus = async () => (page.focused += 1)
    page.postMessage = message => this.told.push(message)
    this.pages.push(page)
    return page
  }

  /** Sends an event, and resolves when all that waits for it is done. */
  async send(name, more = {}) {
    const waits = []
    const event = Object.assign(new Event(name), { waitUntil: work => waits.push(work), ...more })
    this.dispatchEvent(event)
    await Promise.all(waits)
  }

  push(payload) {
    const text = typeof payload === 'string' ? payload : JSON.stringify(payload)
    return this.send('push', { data: payload === undefined ? null : { json: () => JSON.parse(text) } })
  }

  async click(notification) {
    let closed = false
    await this.send('notificationclick', { notification: { ...notification, close: () => (closed = true) } })
    return closed
  }
}
