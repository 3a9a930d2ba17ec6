// SyncMap with `offline: true`: items live in the client's own log, survive a reload, and catch up with the server.

import { change, create, has, Maps, remove, shows } from './harness/maps.js'
import { oneClock, reaches } from './harness/pages.js'
import { inEachClient, sharedServer } from './harness/scene.js'
import { kindOf } from './harness/spoken.js'

const NAMES = Array.from({ length: 30 }, (_, i) => `notes${i}`)
const tidelog = await sharedServer({
  config: NAMES.map(name => `[[sync_map]]\nname = "${name}"\n`).join('\n')
})
const names = NAMES.values()

const OFFLINE = { offline: true }

/** Ann, who is always online, and the proxy, user and store of Bob, whose page is loaded again and again. */
async function setting(scene) {
  const name = names.next().value
  const ann = new Maps(scene, await scene.page(tidelog, { userId: scene.user(), clock: oneClock }), name)
  const proxy = await scene.proxy(tidelog)
  const store = new (kindOf(scene.speaks).MemoryStore)()
  const bob = { userId: scene.user(), clientId: 'browser', store, clock: oneClock }
  const load = () => new Maps(scene, scene.idlePage(proxy, bob), name, OFFLINE)
  return { name, ann, proxy, load }
}

async function start({ page }) {
  page.start()
  await reaches(page, 'synchronized')
}

/** Opens each item; the client's log keeps what comes for an item that is open. */
async function keeps(maps, items) {
  for (const item of items) await has(maps.item(item.id), item)
  await shows(maps.list(), items)
}

inEachClient('a page that is loaded again shows what it has, and then what is', async scene => {
  const { ann, proxy, load } = await setting(scene)
  await create(ann, 't1', { text: 'one' })
  await create(ann, 't2', { text: 'two' })
  const first = load()
  await start(first)
  await keeps(first, [{ id: 't1', text: 'one' }, { id: 't2', text: 'two' }])
  first.page.destroy()
  proxy.goOffline()
  await change(ann, 't1', { text: 'changed' })
  await create(ann, 't3', { text: 'three' })
  proxy.goOnline()
  const second = load()
  const list = second.list()
  await start(second)
  await shows(list, [{ id: 't1', text: 'changed' }, { id: 't2', text: 'two' }, { id: 't3', text: 'three' }])
  await change(ann, 't2', { text: 'live' })
  await shows(list, [{ id: 't1', text: 'changed' }, { id: 't2', text: 'live' }, { id: 't3', text: 'three' }])
})

inEachClient('a list that is opened by a page that knows one item only has all of them', async scene => {
  const { ann, load } = await setting(scene)
  await create(ann, 't1', { text: 'one' })
  await create(ann, 't2', { text: 'two' })
  await create(ann, 't3', { text: 'three' })
  const first = load()
  await start(first)
  await has(first.item('t2'), { id: 't2', text: 'two' })
  first.page.destroy()
  const second = load()
  await start(second)
  // It asks for the list `since` an entry of t2, which it got by another channel.
  await shows(second.list(), [{ id: 't1', text: 'one' }, { id: 't2', text: 'two' }, { id: 't3', text: 'three' }])
})

inEachClient('what was changed offline reaches the others after a reload', async scene => {
  const { name, ann, proxy, load } = await setting(scene)
  await create(ann, 't1', { text: 'one', done: false })
  const theirs = ann.list()
  const first = load()
  await start(first)
  await shows(first.list(), [{ id: 't1', text: 'one', done: false }])
  proxy.goOffline()
  await reaches(first.page, 'disconnected')
  // The verdicts come to the next page.
  create(first, 't2', { text: 'offline' })
  change(first, 't1', { text: 'offline' })
  await shows(first.list(), [{ id: 't1', text: 'offline', done: false }, { id: 't2', text: 'offline' }])
  first.page.destroy()
  await change(ann, 't1', { done: true })
  proxy.goOnline()
  const second = load()
  const own = second.list()
  await start(second)
  const expected = [{ id: 't1', text: 'offline', done: true }, { id: 't2', text: 'offline' }]
  await shows(own, expected)
  await shows(theirs, expected)
  const fresh = new Maps(scene, await scene.page(tidelog, { userId: scene.user() }), name)
  await shows(fresh.list(), expected)
})

inEachClient('an item that went while the page was closed is gone when it is loaded again', async scene => {
  const { ann, proxy, load } = await setting(scene)
  await create(ann, 't1', { text: 'one' })
  await create(ann, 't2', { text: 'two' })
  const first = load()
  await start(first)
  await keeps(first, [{ id: 't1', text: 'one' }, { id: 't2', text: 'two' }])
  first.page.destroy()
  proxy.goOffline()
  await remove(ann, 't1')
  proxy.goOnline()
  const second = load()
  const list = second.list()
  await start(second)
  await shows(list, [{ id: 't2', text: 'two' }])
})
