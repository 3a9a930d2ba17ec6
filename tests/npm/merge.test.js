// Actions of an application, unchanged, that the server merges by rules: pages, stores and the document agree.

import { createStoreCreator } from '@logux/redux'
import assert from 'node:assert/strict'
import test from 'node:test'

import { within } from './harness/deadline.js'
import { kept, oneClock, reaches, send, undone } from './harness/pages.js'
import { Scene, sharedServer } from './harness/scene.js'

const RULES = `
[[action]]
type = "cart/*"
channels = ["shop/{action.shop}"]
[[action]]
type = "likes/*"
channels = ["shop/{action.shop}"]
[[action]]
type = "list/*"
channels = ["shop/{action.shop}"]
[[action]]
type = "crdt/*"
[[channel]]
pattern = "shop/:id"
load = "state"

[[merge]]
type = "cart/add"
document = "cart"
path = ["{action.sku}"]
operation = "counter/add"
by = "action.?count"
[[merge]]
type = "cart/remove"
document = "cart"
path = ["{action.sku}"]
operation = "map/remove"
[[merge]]
type = "likes/*"
document = "likes"
path = ["{action.post}"]
operation = "counter/add"
by = "action.type == 'likes/dec' ? -1 : 1"
[[merge]]
type = "list/push"
document = "list"
operation = "list/insert"
value = "action.text"
`

const tidelog = await sharedServer({ config: RULES })

const EMPTY = { cart: {}, likes: {}, list: [] }
const values = keys => Object.fromEntries(Object.entries(keys ?? {}).map(([key, place]) => [key, place.value]))

/** What an application has anyway, and how it takes a state in. */
function reduce(state = EMPTY, action) {
  const plus = (map, key, by) => ({ ...map, [key]: (map[key] ?? 0) + by })
  switch (action.type) {
    case 'cart/add':
      return { ...state, cart: plus(state.cart, action.sku, action.count ?? 1) }
    case 'cart/remove': {
      const { [action.sku]: gone, ...cart } = state.cart
      return { ...state, cart }
    }
    case 'likes/inc':
      return { ...state, likes: plus(state.likes, action.post, 1) }
    case 'likes/dec':
      return { ...state, likes: plus(state.likes, action.post, -1) }
    case 'list/push':
      return { ...state, list: [...state.list, action.text] }
    case 'crdt/state': {
      const { doc, state: place } = action
      const value = doc === 'list' ? (place?.items ?? []).map(item => item.value) : values(place?.keys)
      return { ...state, [doc]: value }
    }
    default:
      return state
  }
}

async function openStore(scene, options) {
  const client = scene.idlePage(tidelog, { clock: oneClock, ...options })
  const store = createStoreCreator(client)(reduce)
  await within(store.initialize, 'the store')
  client.start()
  await reaches(client, 'synchronized')
  return store
}

const sorted = value => JSON.stringify(value, (_, part) => (isMap(part) ? Object.fromEntries(Object.entries(part).sort()) : part))
const isMap = part => part !== null && typeof part === 'object' && !Array.isArray(part)

/** Resolves when the store shows this. */
function shows(store, wanted) {
  let stop
  const found = new Promise(resolve => {
    const check = () => {
      if (sorted(store.getState()) === sorted(wanted)) resolve()
    }
    stop = store.subscribe(check)
    check()
  })
  return within(found, () => `missing ${sorted(wanted)}; there is ${sorted(store.getState())}`).finally(() => stop())
}

/** What a page makes of what it has, in the order of its log. */
const seenBy = async page => (await kept(page)).map(([action]) => action).reduce(reduce, EMPTY)

async function document(user, shop, name) {
  const url = `http://127.0.0.1:${tidelog.port}/v1/docs/${name}?channel=shop%2F${shop}`
  const response = await fetch(url, { headers: { Authorization: `Bearer ${user}` } })
  assert.equal(response.status, 200)
  return (await response.json()).value
}

const subscribe = shop => ({ type: 'logux/subscribe', channel: `shop/${shop}` })

test('two pages, two stores and the document agree on a cart, counters and a list', async t => {
  const scene = new Scene(t)
  const shop = scene.user('shop')
  const users = [scene.user(), scene.user(), scene.user(), scene.user()]
  const page = userId => scene.page(tidelog, { userId, keep: true, clock: oneClock })
  const pages = [await page(users[0]), await page(users[1])]
  for (const page of pages) await send(page, subscribe(shop))
  const store = await openStore(scene, { userId: users[2] })
  await store.dispatch.sync(subscribe(shop))

  const work = []
  for (const [n, page] of pages.entries()) {
    work.push(send(page, { type: 'cart/add', shop, sku: 'pears', count: 2 }))
    work.push(send(page, { type: 'cart/add', shop, sku: `of ${n}` }))
    work.push(send(page, { type: 'list/push', shop, text: `page ${n}` }))
    for (let i = 0; i < 5; i++) work.push(send(page, { type: 'likes/inc', shop, post: 'p1' }))
  }
  work.push(store.dispatch.sync({ type: 'list/push', shop, text: 'store' }))
  work.push(store.dispatch.sync({ type: 'likes/dec', shop, post: 'p1' }))
  await Promise.all(work)
  // Who removes has seen it.
  await pages[0].heard.until(() => pages[0].heard.list('cart/add').some(i => i.action.sku === 'of 1'), 'the cart of the other')
  await send(pages[0], { type: 'cart/remove', shop, sku: 'of 1' })
  await store.dispatch.sync({ type: 'cart/add', shop, sku: 'figs' })

  const agreed = {
    cart: await document(users[0], shop, 'cart'),
    likes: await document(users[0], shop, 'likes'),
    list: await document(users[0], shop, 'list')
  }
  assert.deepEqual(agreed.cart, { pears: 4, 'of 0': 1, figs: 1 })
  assert.deepEqual(agreed.likes, { p1: 9 })
  assert.deepEqual([...agreed.list].sort(), ['page 0', 'page 1', 'store'])

  await shows(store, agreed)
  for (const page of pages) {
    await page.heard.until(() => page.heard.list('cart/add').some(i => i.action.sku === 'figs'), 'the figs')
    assert.equal(sorted(await seenBy(page)), sorted(agreed))
  }

  // Who comes later gets what it adds up to, and then what comes, once.
  const late = await openStore(scene, { userId: users[3] })
  const history = []
  late.client.log.on('add', action => history.push(action.type))
  await late.dispatch.sync(subscribe(shop))
  await shows(late, agreed)
  assert.deepEqual(history.filter(type => !type.startsWith('logux/')), ['crdt/state', 'crdt/state', 'crdt/state'])
  await late.dispatch.sync({ type: 'likes/inc', shop, post: 'p1' })
  await send(pages[1], { type: 'likes/inc', shop, post: 'p1' })
  const ended = { ...agreed, likes: { p1: 11 } }
  for (const one of [store, late]) await shows(one, ended)
  assert.deepEqual(await document(users[3], shop, 'likes'), ended.likes)
})

test('a store that has loaded the state sees what was made offline before that', async t => {
  const scene = new Scene(t)
  const shop = scene.user('shop')
  const [author, reader] = [scene.user(), scene.user()]
  const proxy = await scene.proxy(tidelog)
  const page = await scene.page(proxy, { userId: author, keep: true, clock: oneClock })
  const left = reaches(page, 'disconnected')
  proxy.goOffline()
  await left
  const early = send(page, { type: 'likes/inc', shop, post: 'p1' })
  const other = await scene.page(tidelog, { userId: scene.user(), clock: oneClock })
  await send(other, { type: 'likes/inc', shop, post: 'p1' })
  const store = await openStore(scene, { userId: reader })
  await store.dispatch.sync(subscribe(shop))
  await shows(store, { ...EMPTY, likes: { p1: 1 } })
  proxy.goOnline()
  await early
  await shows(store, { ...EMPTY, likes: { p1: 2 } })
})

test('stores whose clocks are hours apart agree on counters, with a state and without', async t => {
  const scene = new Scene(t)
  const shop = scene.user('shop')
  const hours = h => () => Date.now() + h * 3_600_000
  const open = async h => {
    const store = await openStore(scene, { userId: scene.user(), clock: hours(h) })
    await store.dispatch.sync(subscribe(shop))
    return store
  }
  const like = store => store.dispatch.sync({ type: 'likes/inc', shop, post: 'p1' })
  const stores = [await open(6), await open(-9)]
  for (const store of stores) await Promise.all([like(store), like(store)])
  stores.push(await open(17))
  for (const store of stores) await shows(store, { ...EMPTY, likes: { p1: 4 } })
  await Promise.all(stores.map(like))
  for (const store of stores) await shows(store, { ...EMPTY, likes: { p1: 7 } })
  assert.deepEqual(await document(scene.user(), shop, 'likes'), { p1: 7 })
})

test('a malformed operation is undone by its fault, on the page too', async t => {
  const scene = new Scene(t)
  const page = await scene.page(tidelog, { userId: scene.user() })
  for (const [action, reason] of [
    [{ type: 'crdt/set/blow', doc: 'a' }, 'error: type: there is no operation `set/blow`'],
    [{ type: 'crdt/counter/add', doc: 'a', by: 'two' }, 'error: by: a whole number from -2^53 to 2^53 is needed'],
    [{ type: 'cart/add', shop: 's', sku: 7 }, 'error: path: it is no text']
  ]) {
    const undo = await undone(page, action)
    assert.equal(undo.reason, reason)
  }
})
