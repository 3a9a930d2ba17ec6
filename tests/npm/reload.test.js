// A page that is loaded again: with a store that outlives it (IndexedDB, where the version has one) it goes on where it
// was, without it starts from the beginning.

import 'fake-indexeddb/auto'

import assert from 'node:assert/strict'

import { kept, reaches, send, settled } from './harness/pages.js'
import { UP } from './harness/proxy.js'
import { inEachClient, inEachVersion, sharedServer } from './harness/scene.js'
import { kindOf } from './harness/spoken.js'

const tidelog = await sharedServer()

let databases = 0
const database = () => `page${(databases += 1)}`

const ns = page => page.heard.list('app/add').map(i => i.action.n)
const add = (page, n) => send(page, { type: 'app/add', n })
const logged = async page => (await kept(page)).filter(([i]) => i.type === 'app/add').map(([i]) => i.n)

/** A page over a store that outlives it, with the client id that a browser keeps. */
const load = (scene, at, name, options) =>
  scene.page(at, { keep: true, clientId: 'browser', store: kindOf(scene.speaks).store(name), ...options })

inEachVersion('with what it stored a page gets only what it missed', async scene => {
  const userId = scene.user()
  const name = database()
  const proxy = await scene.proxy(tidelog)
  const desk = await scene.page(tidelog, { userId })
  const before = await load(scene, proxy, name, { userId })
  await add(desk, 1)
  await add(before, 2)
  await add(desk, 3)
  await before.heard.times('app/add', 3)
  await settled(before)
  assert.deepEqual((await logged(before)).sort(), [1, 2, 3])
  before.destroy()

  await add(desk, 4)
  const after = await load(scene, proxy, name, { userId })
  await after.heard.times(i => i.action.n === 4)
  await settled(after)
  const connect = proxy.list({ dir: UP, name: 'connect' }).at(-1)
  assert.ok(connect[3] > 0)
  assert.deepEqual(ns(after), [4])
  assert.deepEqual((await logged(after)).sort(), [1, 2, 3, 4])
})

inEachVersion('what a page had not sent when it closed, the next one sends, once', async scene => {
  const userId = scene.user()
  const name = database()
  const proxy = await scene.proxy(tidelog)
  const desk = await scene.page(tidelog, { userId })
  const before = await load(scene, proxy, name, { userId })
  await add(before, 0)
  proxy.goOffline()
  await reaches(before, 'disconnected')
  for (const n of [1, 2, 3]) await before.log.add({ type: 'app/add', n }, { sync: true })
  before.destroy()
  proxy.goOnline()
  const after = await load(scene, proxy, name, { userId })
  await desk.heard.times('app/add', 4)
  await settled(after)
  assert.deepEqual(ns(desk), [0, 1, 2, 3])
  assert.deepEqual(await logged(after), [0, 1, 2, 3])
})

inEachVersion('a page that closed between sending and synced sends again, and it counts once', async scene => {
  const userId = scene.user()
  const name = database()
  const proxy = await scene.proxy(tidelog)
  const desk = await scene.page(tidelog, { userId })
  const before = await load(scene, proxy, name, { userId })
  await add(before, 0)
  proxy.rule = ({ dir }) => (dir === UP ? 'pass' : 'drop')
  await before.log.add({ type: 'app/add', n: 1 }, { sync: true })
  await desk.heard.times(i => i.action.n === 1)
  before.destroy()
  proxy.rule = undefined
  const after = await load(scene, proxy, name, { userId })
  await settled(after)
  await settled(desk)
  assert.deepEqual(ns(desk), [0, 1])
  assert.deepEqual(await logged(after), [0, 1])
})

inEachVersion('without a store a page gets everything, what it made itself included', async scene => {
  const userId = scene.user()
  const before = await scene.page(tidelog, { userId, clientId: 'browser' })
  for (const n of [1, 2, 3]) await add(before, n)
  before.destroy()
  const after = await scene.page(tidelog, { userId, clientId: 'browser' })
  await after.heard.times('app/add', 3)
  await settled(after)
  await settled(after)
  assert.deepEqual(ns(after), [1, 2, 3])
})

inEachVersion('a database that another user left behind hides nothing from the next', async scene => {
  const [ann, bob] = [scene.user('ann'), scene.user('bob')]
  const name = database()
  const desk = await scene.page(tidelog, { userId: bob })
  await add(desk, 'bob 1')
  const first = await load(scene, tidelog, name, { userId: ann })
  for (const n of [1, 2, 3]) await add(first, `ann ${n}`)
  await settled(first)
  first.destroy()
  await add(desk, 'bob 2')
  const second = await load(scene, tidelog, name, { userId: bob })
  await second.heard.times('app/add', 2)
  await settled(second)
  assert.deepEqual(ns(second), ['bob 1', 'bob 2'])
})

inEachClient('a page that changes its user gets the new one\'s actions, and only these', async scene => {
  const [ann, bob] = [scene.user('ann'), scene.user('bob')]
  const desk = await scene.page(tidelog, { userId: bob })
  await add(desk, 'bob 1')
  const annDesk = await scene.page(tidelog, { userId: ann })
  const page = await scene.page(tidelog, { userId: ann })
  for (const n of [1, 2, 3]) await add(annDesk, `ann ${n}`)
  await page.heard.times('app/add', 3)
  const left = reaches(page, 'disconnected')
  page.changeUser(bob, 'any')
  await left
  await reaches(page, 'synchronized')
  await page.heard.times(i => i.action.n === 'bob 1')
  await add(annDesk, 'ann 4')
  await add(desk, 'bob 2')
  await page.heard.times(i => i.action.n === 'bob 2')
  await settled(page)
  assert.deepEqual(ns(page), ['ann 1', 'ann 2', 'ann 3', 'bob 1', 'bob 2'])
})

inEachClient('a user that comes back after another finds what it missed', async scene => {
  const [ann, bob] = [scene.user('ann'), scene.user('bob')]
  const desk = await scene.page(tidelog, { userId: ann })
  const page = await scene.page(tidelog, { userId: ann, keep: true })
  await add(desk, 1)
  await page.heard.times('app/add', 1)
  for (const user of [bob, ann]) {
    const left = reaches(page, 'disconnected')
    page.changeUser(user, 'any')
    await left
    await reaches(page, 'synchronized')
    await settled(page)
    await add(desk, `while ${user}`)
  }
  await page.heard.times('app/add', 3)
  assert.deepEqual(ns(page), [1, `while ${bob}`, `while ${ann}`])
})
