// A service worker between pushes, IndexedDB, pages and the server.

import assert from 'node:assert/strict'
import test from 'node:test'

import { registerPush, takeNews, unregisterPush } from '../src/push.js'
import { httpOf, Scene, sharedServer, storedLog, within } from './harness/scene.js'
import { browser, openStore, reachesState, send, settled } from './harness/stores.js'
import { FakeWorker, PUBLIC_KEY } from './harness/worker.js'

const tidelog = await sharedServer()
const add = n => ({ n, type: 'app/add' })
const GENERIC = { tag: 'tidelog', title: 'You have new updates' }

/** A page that stays off the network, its service worker, and another device of its user. */
async function opened(t, at = tidelog) {
  const scene = new Scene(t)
  const user = scene.user()
  const indexedDB = browser()
  const device = { indexedDB, name: user, shareToken: true, user }
  const page = await openStore(scene, at, device)
  await send(page, add(1))
  page.tidelog.offline(true)
  const desk = await openStore(scene, tidelog, { user })
  const worker = new FakeWorker({ indexedDB, patience: 3000 })
  return { desk, device, indexedDB, page, scene, user, worker }
}

test('a push has the worker pull and show that there is something; a page that opens later has it without a line', async t => {
  const { desk, device, page, scene, worker } = await opened(t)
  await page.close()
  await send(desk, add(2))
  await worker.push({ head: 2, tidelog: 1 })
  assert.deepEqual(worker.shown, [GENERIC])
  const proxy = await scene.proxy(tidelog)
  proxy.goOffline()
  const later = await openStore(scene, proxy, device)
  assert.deepEqual(later.getState().list, [1, 2])
})

test('a page that is open has what the worker pulled, and is told; nothing is shown while it is visible', async t => {
  const { desk, page, user, worker } = await opened(t)
  const window = worker.page('https://app.example/')
  await send(desk, add(2))
  await worker.push({ head: 2, tidelog: 1 })
  await reachesState(page, state => state.sum === 3, 'what the worker pulled')
  assert.deepEqual(worker.told, [{ news: 1, type: 'tidelog/news', user }])
  assert.deepEqual(worker.shown, [])
  window.visibilityState = 'hidden'
  await worker.push({ head: 2, tidelog: 1 })
  assert.deepEqual(worker.shown, [GENERIC])
})

test('a message is shown as it is, and its click opens where it leads, if that is at home', async t => {
  const { worker } = await opened(t)
  const message = { body: 'milk', title: 'Ann wrote', url: '/tasks/14' }
  await worker.push({ head: 1, message, tidelog: 1 })
  const shown = { body: 'milk', data: { url: '/tasks/14' }, tag: 'tidelog', title: 'Ann wrote' }
  assert.deepEqual(worker.shown, [shown])
  assert.equal(await worker.click(shown), true)
  assert.deepEqual(worker.opened, ['https://app.example/tasks/14'])
  await worker.click({ ...shown, data: { url: 'https://evil.example/' } })
  assert.deepEqual(worker.opened.slice(1), ['https://app.example/'])
  await worker.click({ ...shown, data: { url: 'https://' } })
  assert.deepEqual(worker.opened.slice(2), ['https://app.example/'], 'what is no address leads home')
  const page = worker.page('https://app.example/tasks/14')
  await worker.click(shown)
  assert.equal(page.focused, 1)
  await worker.click({})
  assert.equal(page.focused, 2, 'any page will do when it leads nowhere')
  assert.equal(worker.opened.length, 3)
})

test('a push that says nothing that is known is shown as one that does', async t => {
  const { worker } = await opened(t)
  for (const payload of [undefined, 'no JSON', { tidelog: 2, message: { title: 'later' } }, { tidelog: 1, message: {} }]) {
    await worker.push(payload)
  }
  assert.deepEqual(worker.shown, Array(4).fill(GENERIC))
})

test('what is shown can be another thing, or nothing', async t => {
  const { indexedDB } = await opened(t)
  const heard = []
  const notify = woken => {
    heard.push(woken)
    return woken.message ? false : { icon: '/i.png', title: 'Neues' }
  }
  const worker = new FakeWorker({ indexedDB, notify })
  await worker.push({ head: 7, tidelog: 1 })
  await worker.push({ head: 7, message: { title: 'x' }, tidelog: 1 })
  assert.deepEqual(worker.shown, [{ icon: '/i.png', tag: 'tidelog', title: 'Neues' }])
  assert.equal(heard[0].head, 7)
})

test('a server that is not reached does not keep the push from being shown, and background sync comes again', async t => {
  const scene = new Scene(t)
  const proxy = await scene.proxy(tidelog)
  const { page, user, worker } = await opened(t, proxy)
  page.dispatch(add(2))
  proxy.goOffline()
  await worker.push({ head: 2, tidelog: 1 })
  assert.deepEqual(worker.shown, [GENERIC])
  await assert.rejects(worker.send('sync', { tag: 'tidelog' }), { name: 'Unreachable' })
  await worker.send('sync', { tag: 'of the application' })
  proxy.goOnline()
  await worker.send('sync', { tag: 'tidelog' })
  assert.deepEqual((await storedLog(tidelog, { user })).map(i => i.action.n), [1, 2])
  await settled(page)
  assert.deepEqual(page.getState().list, [1, 2])
})

test('a user whose token cannot be had does not keep the others from what is new', async t => {
  const scene = new Scene(t)
  const [lost, user] = [scene.user(), scene.user()]
  const indexedDB = browser()
  const desk = await openStore(scene, tidelog, { user })
  const proxy = await pushServer(scene)
  const heard = []
  const token = async about => {
    if (about.user === lost) throw new Error('signed out')
    return about.user
  }
  const worker = new FakeWorker({ indexedDB, notify: ({ news }) => heard.push(news) && false, token })
  const page = { indexedDB, registration: worker.registration, url: httpOf(proxy) }
  for (const one of [lost, user]) await registerPush({ ...page, token: one, user: one })
  await send(desk, add(1))
  await worker.push({ head: 1, tidelog: 1 })
  assert.deepEqual(heard, [1])
  const news = await takeNews({ indexedDB, user })
  assert.deepEqual(news.map(({ action }) => action), [add(1)])
  await assert.rejects(worker.send('sync', { tag: 'tidelog' }), { message: 'signed out' })
})

test('what the worker pulls for pages with another store is theirs to take, once', async t => {
  const { desk, indexedDB, options, user, worker } = await registering(t)
  await registerPush({ ...options, client: `${user}:browser` })
  await send(desk, add(1))
  await worker.push({ head: 1, tidelog: 1 })
  const news = await takeNews({ indexedDB, user })
  assert.deepEqual(news.map(({ action }) => action), [add(1)])
  assert.deepEqual(await takeNews({ indexedDB, user }), [])
})

test('a device registers under its name, once for each subscription, and goes', async t => {
  const scene = new Scene(t)
  const user = scene.user()
  const indexedDB = browser()
  const proxy = await pushServer(scene)
  const worker = new FakeWorker({ indexedDB })
  const page = { indexedDB, registration: worker.registration, token: user, url: httpOf(proxy), user }
  const options = { ...page, channels: ['tasks'], language: 'de-AT', shareToken: true }
  assert.equal(await registerPush(options), 'web-1')
  await registerPush(options)
  const [first, second] = proxy.registered
  assert.match(first.client, new RegExp(`^${user}:`))
  assert.equal(first.authorization, `Bearer ${user}`)
  assert.deepEqual(first.body, {
    channels: ['tasks'],
    kind: 'web',
    language: 'de-AT',
    subscription: { endpoint: 'https://push.example/1', keys: { auth: 'a', p256dh: 'p' } }
  })
  assert.deepEqual(second, first)

  worker.registration.pushManager.subscription = null
  await worker.send('pushsubscriptionchange')
  assert.equal(proxy.registered[2].body.subscription.endpoint, 'https://push.example/2')
  assert.deepEqual(proxy.registered[2].body.channels, ['tasks'])
  assert.deepEqual(gone(proxy), ['web-1'], 'the old one is not left among the devices of the user')

  proxy.publicKey = Buffer.from(new Uint8Array(65).fill(5)).toString('base64url')
  await registerPush(options)
  assert.equal(proxy.registered[3].body.subscription.endpoint, 'https://push.example/3', 'for the new key')
  assert.deepEqual(gone(proxy), ['web-1', 'web-2'])

  await unregisterPush(page)
  assert.deepEqual(gone(proxy), ['web-1', 'web-2', 'web-3'])
  assert.equal(worker.registration.pushManager.subscription, null)
})

test('a subscription that is given up has another registered, and what came meanwhile pulled', async t => {
  const { desk, device, page, scene, user, worker } = await opened(t)
  const proxy = await pushServer(scene)
  const options = { ...device, registration: worker.registration, token: user, url: httpOf(proxy) }
  await registerPush(options)
  worker.registration.pushManager.subscription = null
  await send(desk, add(2))
  const asked = proxy.requests.items.length
  await worker.send('pushsubscriptionchange')
  assert.deepEqual(proxy.requests.items.slice(asked).map(request => request.split('?')[0]), [
    'GET /v1/push/key',
    'POST /v1/push/devices',
    'DELETE /v1/push/devices/web-1',
    'GET /v1/log'
  ])
  await reachesState(page, state => state.sum === 3, 'what came meanwhile')
})

test('a registration that cannot be forgotten now is forgotten the next time', async t => {
  const { device, scene, user, worker } = await opened(t)
  const proxy = await pushServer(scene)
  const options = { ...device, registration: worker.registration, token: user, url: httpOf(proxy) }
  await registerPush(options)
  proxy.forgets = false
  worker.registration.pushManager.subscription = null
  await worker.send('pushsubscriptionchange')
  proxy.forgets = true
  await registerPush(options)
  assert.deepEqual(gone(proxy), ['web-1', 'web-1'])
  await unregisterPush(options)
  assert.deepEqual(gone(proxy).slice(2), ['web-2'])
})

test('where nothing can be registered, what came meanwhile is pulled all the same', async t => {
  const { desk, device, page, scene, user, worker } = await opened(t)
  const proxy = await pushServer(scene)
  const { registration } = worker
  await registerPush({ ...device, registration, token: user, url: httpOf(proxy) })
  registration.pushManager = { getSubscription: async () => null, subscribe: () => Promise.reject(new Error('denied')) }
  await send(desk, add(2))
  await assert.rejects(worker.send('pushsubscriptionchange'), { message: 'denied' })
  await reachesState(page, state => state.sum === 3, 'what came meanwhile')
})

test('who has signed out has the worker do nothing; what a store has there is not lost', async t => {
  const { desk, device, page, scene, user, worker } = await opened(t)
  const proxy = await pushServer(scene)
  const options = { ...device, registration: worker.registration, token: user, url: httpOf(proxy) }
  await registerPush(options)
  page.dispatch(add(2))
  await send(desk, add(4))
  await worker.push({ head: 2, tidelog: 1 })
  page.dispatch(add(8))
  await unregisterPush(options)
  await page.tidelog.channels(['posts/1'])
  const asked = proxy.requests.items.length
  await send(desk, add(16))
  for (const name of ['push', 'sync', 'pushsubscriptionchange']) await worker.send(name, { data: null, tag: 'tidelog' })
  assert.deepEqual(proxy.requests.items.slice(asked), [])
  await page.close()

  // A page that only registers knows nothing of the store: its news must not be taken for those of `takeNews`.
  await registerPush(options)
  await unregisterPush(options)
  const later = await openStore(scene, tidelog, device)
  await reachesState(later, state => state.sum === 31, 'all five')
})

test('what was pulled for a page with another store goes with the user, also when the server cannot be told', async t => {
  const { desk, indexedDB, options, proxy, user, worker } = await registering(t)
  await registerPush(options)
  await send(desk, add(1))
  await worker.push({ head: 1, tidelog: 1 })
  proxy.forgets = false
  await assert.rejects(unregisterPush(options), { status: 503 })
  assert.deepEqual(await takeNews({ indexedDB, user }), [])
  assert.equal(worker.registration.pushManager.subscription, null)
  const asked = proxy.requests.items.length
  await worker.send('pushsubscriptionchange')
  await worker.push({ head: 1, tidelog: 1 })
  assert.deepEqual(proxy.requests.items.slice(asked), [])
  proxy.forgets = true
  await unregisterPush(options)
  assert.deepEqual(gone(proxy), ['web-1', 'web-1'])
})

/** What a page with another store registers with, its service worker, and another device of its user. */
async function registering(t) {
  const scene = new Scene(t)
  const user = scene.user()
  const indexedDB = browser()
  const desk = await openStore(scene, tidelog, { user })
  const proxy = await pushServer(scene)
  const worker = new FakeWorker({ indexedDB })
  const options = { indexedDB, registration: worker.registration, shareToken: true, token: user, url: httpOf(proxy), user }
  return { desk, indexedDB, options, proxy, user, worker }
}

/** The ids that were to be forgotten. */
const gone = proxy => proxy.deleted.map(url => url.slice('/v1/push/devices/'.length))

/** The server, with the calls of push answered in its place. */
async function pushServer(scene) {
  const proxy = await scene.proxy(tidelog)
  Object.assign(proxy, { deleted: [], forgets: true, publicKey: PUBLIC_KEY, registered: [] })
  const answer = (response, body) => within(body, 'the body').then(value => response.end(JSON.stringify(value)))
  proxy.answer = (request, response) => {
    if (!request.url.startsWith('/v1/push')) return undefined
    if (request.method === 'GET') return answer(response, Promise.resolve({ publicKey: proxy.publicKey }))
    if (request.method === 'DELETE') {
      proxy.deleted.push(request.url)
      response.writeHead(proxy.forgets ? 204 : 503)
      return response.end()
    }
    return answer(response, registered(proxy, request))
  }
  return proxy
}

async function registered(proxy, request) {
  const chunks = await request.toArray()
  const { authorization, 'tidelog-client': client } = request.headers
  const body = JSON.parse(Buffer.concat(chunks))
  proxy.registered.push({ authorization, body, client })
  // As the server's, the id follows from where the device is woken.
  return { id: `web-${body.subscription.endpoint.split('/').at(-1)}` }
}
