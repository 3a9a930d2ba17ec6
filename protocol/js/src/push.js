// Web Push, from the side of a page: asks the browser for a subscription and tells the server, under the name of the device.

import { Device } from './device.js'
import { Api, Problem } from './http.js'

/**
 * @typedef {object} PushOptions
 * @property {string} url where the server is
 * @property {string} user the user's id
 * @property {import('./http.js').Token} [token]
 * @property {string} [client] the client's name where the page has one already: `clientId` of a client of `@logux/client`
 * @property {string[]} [channels] wake the device for these, too; its user's log always does
 * @property {string} [language] for messages, such as `de-AT`; that of the page if not given
 * @property {boolean} [shareToken] keeps a token that is a text in IndexedDB, for the service worker
 * @property {ServiceWorkerRegistration} [registration] the page's own if not given
 * @property {string} [name] of what is kept in IndexedDB; the user's id if not given
 * @property {typeof fetch} [fetch]
 * @property {RequestCredentials} [credentials]
 * @property {IDBFactory} [indexedDB]
 */

/**
 * Has this device woken for what it misses. The browser may ask the user, so the first call belongs into a click; later
 * ones, at each start of the page, keep the server's knowledge fresh and cost one request.
 * @param {PushOptions} options
 * @returns {Promise<string>} the id of the registration
 */
export async function registerPush(options) {
  const { channels = [], language = globalThis.navigator?.language, shareToken, token, url, user } = options
  const device = await openDevice(options)
  try {
    const registration = options.registration ?? (await navigator.serviceWorker.ready)
    const about = { channels, folds: await isFolded(device), url, user }
    await device.note(shareToken && typeof token === 'string' ? { about, token } : { about })
    return await announce(apiOf(device, options), device, registration, { channels, language })
  } finally {
    device.close()
  }
}

/**
 * Ends it, in the browser and at the server, for who signs out: the service worker does nothing more for this user, and
 * what it has pulled for `takeNews` is dropped. What belongs to a store of `tidelog/redux` stays, with what waits for the
 * server. If the server cannot be told, this throws when all else is done; it can be called again, and the server finds
 * out by itself that the subscription is gone.
 * @param {PushOptions} options
 */
export async function unregisterPush(options) {
  const device = await openDevice(options)
  try {
    const folds = await isFolded(device)
    await device.note({ about: undefined, folds, token: undefined })
    if (!folds) await device.drain()
    const registration = options.registration ?? (await navigator.serviceWorker.ready)
    await (await registration.pushManager.getSubscription())?.unsubscribe()
    const push = await device.fact('push')
    if (push) await forget(apiOf(device, options), [push.id, ...(push.former ?? [])])
    await device.note({ push: undefined })
  } finally {
    device.close()
  }
}

/**
 * What the service worker has pulled for pages that do not add it up themselves, once: newest last, a thousand at most.
 * @param {{ user: string, name?: string, indexedDB?: IDBFactory }} options
 * @returns {Promise<import('./device.js').News[]>}
 */
export async function takeNews({ user, name = user, indexedDB }) {
  const device = await Device.open(name, indexedDB)
  try {
    return await device.drain()
  } finally {
    device.close()
  }
}

/**
 * Subscribes if need be, and registers; what the device was registered as before, under another subscription, goes: it
 * would count among the devices that a user may have, and be woken in vain.
 * @param {Api} api
 * @param {Device} device
 * @param {ServiceWorkerRegistration} registration
 * @param {{ channels: string[], language?: string }} wanted
 * @returns {Promise<string>}
 */
export async function announce(api, device, { pushManager }, wanted) {
  const { publicKey } = await api.call('/v1/push/key')
  let subscription = await pushManager.getSubscription()
  if (subscription && !isFor(subscription, publicKey)) {
    // The server has another key: what it sends would not be delivered.
    await subscription.unsubscribe()
    subscription = null
  }
  subscription ??= await pushManager.subscribe({ applicationServerKey: bytesOf(publicKey), userVisibleOnly: true })
  const { channels, language } = wanted
  const push = await device.fact('push')
  const former = push ? [push.id, ...(push.former ?? [])] : []
  const id = await register(api, { channels, kind: 'web', language, subscription: subscription.toJSON() }, former)
  const left = former.filter(one => one !== id)
  await device.note({ push: { channels, former: left, id, language } })
  try {
    await forget(api, left)
    await device.note({ push: { channels, id, language } })
  } catch {
    // The device will be woken, which is what was asked for. What is left goes when it announces itself again.
  }
  return id
}

/** @param {Api} api @param {Record<string, unknown>} body @param {string[]} former */
async function register(api, body, former) {
  const ask = async () => (await api.call('/v1/push/devices', { body })).id
  try {
    return await ask()
  } catch (error) {
    const full = error instanceof Problem && error.kind === 'too-many-devices'
    if (!full || former.length === 0) throw error
    // What this device was before is among those that are too many.
    await forget(api, former)
    return ask()
  }
}

/** @param {Api} api @param {string[]} ids */
async function forget(api, ids) {
  for (const id of ids) await api.call(`/v1/push/devices/${id}`, { method: 'DELETE' })
}

/** @param {PushOptions} options */
async function openDevice({ client, indexedDB, name, user }) {
  const device = await Device.open(name ?? user, indexedDB)
  if (client) {
    device.client = client.slice(client.indexOf(':') + 1)
    await device.note({ client: device.client })
  }
  return device
}

/** Whether a store of `tidelog/redux` adds up the news: they are its own then. @param {Device} device @returns {Promise<boolean>} */
async function isFolded(device) {
  return (await device.fact('about'))?.folds ?? (await device.fact('folds')) ?? false
}

/** @param {Device} device @param {PushOptions} options */
function apiOf(device, { credentials, fetch, token, url, user }) {
  return new Api({ client: `${user}:${device.client}`, credentials, fetch, token, url })
}

/** @param {PushSubscription} subscription @param {string} key */
function isFor({ options }, key) {
  const { applicationServerKey } = options ?? {}
  if (!applicationServerKey) return false
  const [had, wanted] = [new Uint8Array(applicationServerKey), bytesOf(key)]
  return had.length === wanted.length && had.every((byte, i) => byte === wanted[i])
}

/** @param {string} key base64url */
function bytesOf(key) {
  const text = atob(key.replaceAll('-', '+').replaceAll('_', '/'))
  return Uint8Array.from(text, character => character.charCodeAt(0))
}
