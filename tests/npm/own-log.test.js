// A user's own log whose documents come instead of actions: where rules say so, a page that has nothing, or missed much,
// hears what they add up to.

import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'

import { kept, oneClock, passTime, reaches, send, settled, wrongClock } from './harness/pages.js'
import { inEachVersion, sharedServer } from './harness/scene.js'

const RULES = `
[user_log]
state = ["cart/*"]
squash = 5

[[action]]
type = "cart/*"
[[action]]
type = "app/*"

[[merge]]
type = "cart/add"
document = "cart"
path = ["{action.sku}"]
operation = "counter/add"
[[merge]]
type = "cart/remove"
document = "cart"
path = ["{action.sku}"]
operation = "map/remove"
`

const tidelog = await sharedServer({ config: RULES })

/** What an application has anyway, and how it takes a state in. */
function reduce(cart, action) {
  switch (action.type) {
    case 'cart/add':
      return { ...cart, [action.sku]: (cart[action.sku] ?? 0) + 1 }
    case 'cart/remove': {
      const { [action.sku]: gone, ...rest } = cart
      return rest
    }
    case 'crdt/state':
      return Object.fromEntries(Object.entries(action.state?.keys ?? {}).map(([sku, place]) => [sku, place.value]))
    default:
      return cart
  }
}

/** What a store makes of the page's log, in the order of times; and what listeners make of it, as it came. */
const stored = async page => (await kept(page)).map(([action]) => action).reduce(reduce, {})
const heard = page => page.heard.items.map(i => i.action).reduce(reduce, {})

const add = (page, sku) => send(page, { type: 'cart/add', sku })
const open = (scene, at, userId) => scene.page(at, { userId, keep: true, clock: oneClock })

/** An action that is no later than a state which the page has is in its store once the state has come anew. */
async function agree(page, cart) {
  for (;;) {
    const count = page.heard.items.length
    if (isDeepStrictEqual(await stored(page), cart) && isDeepStrictEqual(heard(page), cart)) return
    const text = () => `something more than ${JSON.stringify(heard(page))}, to have ${JSON.stringify(cart)}`
    await page.heard.until(() => page.heard.items.length > count, text)
  }
}

inEachVersion('a fresh page gets what its log adds up to, the rest as it was, and then what comes', async scene => {
  const userId = scene.user()
  const desk = await open(scene, tidelog, userId)
  for (let n = 0; n < 8; n++) await add(desk, n % 2 ? 'pears' : 'figs')
  await send(desk, { type: 'app/add', n: 1 })
  await send(desk, { type: 'cart/remove', sku: 'figs' })

  const page = await open(scene, tidelog, userId)
  await page.heard.times('crdt/state')
  await settled(page)
  assert.deepEqual([page.heard.count('cart/add'), page.heard.count('cart/remove'), page.heard.count('app/add')], [0, 0, 1])
  assert.equal(page.heard.count('crdt/state'), 1)
  await agree(page, { pears: 4 })

  await add(desk, 'pears')
  await add(page, 'figs')
  for (const one of [desk, page]) await agree(one, { pears: 5, figs: 1 })
})

inEachVersion('a page that comes back gets what it missed, and of much what it adds up to', async scene => {
  const userId = scene.user()
  const proxy = await scene.proxy(tidelog)
  const desk = await open(scene, tidelog, userId)
  for (let n = 0; n < 8; n++) await add(desk, 'pears')
  const page = await open(scene, proxy, userId)
  await page.heard.times('crdt/state')
  await settled(page)
  let [states, adds] = [1, 0]
  for (const missed of [0, 3, 9]) {
    const left = reaches(page, 'disconnected')
    proxy.goOffline()
    await left
    // What is made within a second of a state that it had before may stand under it, and is brought anew.
    passTime(3_000)
    for (let n = 0; n < missed; n++) await add(desk, 'pears')
    proxy.goOnline()
    await reaches(page, 'synchronized')
    if (missed > 5) states += 1
    else adds += missed
    await page.heard.until(() => page.heard.count('crdt/state') >= states && page.heard.count('cart/add') >= adds, 'what it missed')
    await settled(page)
    assert.deepEqual([page.heard.count('crdt/state'), page.heard.count('cart/add')], [states, adds])
  }
  await agree(page, { pears: 20 })
})

inEachVersion('what was made offline long ago shows on a page that has the state', async scene => {
  const userId = scene.user()
  const proxy = await scene.proxy(tidelog)
  const author = await open(scene, proxy, userId)
  const left = reaches(author, 'disconnected')
  proxy.goOffline()
  await left
  const early = add(author, 'pears')
  const desk = await open(scene, tidelog, userId)
  await add(desk, 'pears')
  const page = await open(scene, tidelog, userId)
  await page.heard.times('crdt/state')
  await settled(page)
  await agree(page, { pears: 1 })
  proxy.goOnline()
  await early
  await agree(page, { pears: 2 })
  assert.equal(page.heard.count('crdt/state'), 2)
})

inEachVersion('what is made by a clock that is hours ahead counts once', async scene => {
  const userId = scene.user()
  const proxy = await scene.proxy(tidelog)
  const fast = await scene.page(tidelog, { userId, keep: true, clock: wrongClock(5 * 3_600_000) })
  const page = await open(scene, proxy, userId)
  await add(fast, 'pears')
  await page.heard.times('cart/add')
  const left = reaches(page, 'disconnected')
  proxy.goOffline()
  await left
  const desk = await open(scene, tidelog, userId)
  for (let n = 0; n < 9; n++) await add(desk, 'pears')
  proxy.goOnline()
  await page.heard.times('crdt/state')
  await agree(page, { pears: 10 })
  // What comes is older than the state, and is brought anew with it.
  await add(desk, 'figs')
  for (const one of [page, desk]) await agree(one, { pears: 10, figs: 1 })
})
