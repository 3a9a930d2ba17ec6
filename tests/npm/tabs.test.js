// Several tabs of one browser: one client id, one connection at a time, and each tab a node of its own.

import assert from 'node:assert/strict'

import { Browser } from './harness/browser.js'
import { reaches, send, settled } from './harness/pages.js'
import { RULES } from './harness/rules.js'
import { inEachClient, inEachVersion, sharedServer } from './harness/scene.js'
import { storedLog } from './harness/server.js'

const tidelog = await sharedServer({ config: RULES })

const ns = page => page.heard.list('app/add').map(i => i.action.n)

inEachClient('tabs that take turns with one client id neither lose nor double', async scene => {
  const userId = scene.user()
  const desk = await scene.page(tidelog, { userId })
  for (let turn = 0; turn < 6; turn++) {
    const tab = await scene.page(tidelog, { userId, clientId: 'browser' })
    await send(tab, { type: 'app/add', n: `tab ${turn}` })
    await send(desk, { type: 'app/add', n: `desk ${turn}` })
    await tab.heard.times('app/add', 2 * (turn + 1))
    tab.destroy()
  }
  assert.equal(desk.heard.count('app/add'), 12)
  assert.equal(new Set(ns(desk)).size, 12)
  const log = await storedLog(tidelog, { user: userId })
  assert.equal(log.length, 12)
})

inEachClient('two tabs that push each other out still get everything to the server once', async scene => {
  const userId = scene.user()
  const desk = await scene.page(tidelog, { userId })
  const tabs = ['a', 'b'].map(() => scene.idlePage(tidelog, { userId, clientId: 'browser' }))
  for (const tab of tabs) tab.start()
  const work = []
  for (let n = 0; n < 20; n++) for (const [i, tab] of tabs.entries()) work.push(send(tab, { type: 'app/add', n: `${i} ${n}` }))
  await Promise.all(work)
  await desk.heard.times('app/add', 40)
  await settled(desk)
  assert.equal(desk.heard.count('app/add'), 40)
})

// The client of 5 hands what other tabs said to its core in a way that the core of 7 does not take.
const CROSS_TAB = { spoken: ['client'] }

inEachVersion('a follower speaks through the leader, and takes over when it goes', async (scene, t) => {
  const browser = new Browser(t)
  const userId = scene.user()
  const desk = await scene.page(tidelog, { userId })
  const proxy = await scene.proxy(tidelog)
  const tab = () => browser.tab(() => scene.idlePage(proxy, { userId, crossTab: true }))
  const [first, second] = [tab(), tab()]
  assert.equal(first.clientId, second.clientId)
  first.start()
  await reaches(first, 'synchronized')
  second.start()
  assert.equal(second.role, 'follower')

  await send(second, { type: 'app/add', n: 'second' })
  await send(first, { type: 'app/add', n: 'first' })
  await send(desk, { type: 'app/add', n: 'desk' })
  await first.heardByTab.times(i => i.action.n === 'desk')
  await second.heardByTab.times(i => i.action.n === 'desk')
  assert.equal(proxy.accepted, 1)
  await desk.heard.times('app/add', 3)
  assert.deepEqual(ns(desk).sort(), ['desk', 'first', 'second'])

  first.destroy()
  await reaches(second, 'synchronized')
  assert.equal(second.role, 'leader')
  await send(second, { type: 'app/add', n: 'alone' })
  await desk.heard.times(i => i.action.n === 'alone')
  assert.equal(desk.heard.count('app/add'), 4)
}, CROSS_TAB)

inEachVersion('a subscription of any tab goes on with the tab that takes over', async (scene, t) => {
  const browser = new Browser(t)
  const author = await scene.page(tidelog, { userId: scene.user() })
  const post = n => send(author, { type: 'posts/say', id: 'tabs', n })
  await post(0)
  const userId = scene.user()
  const tab = () => browser.tab(() => scene.idlePage(tidelog, { userId, crossTab: true }))
  const [first, second] = [tab(), tab()]
  first.start()
  await reaches(first, 'synchronized')
  second.start()
  await send(second, { type: 'logux/subscribe', channel: 'posts/tabs' })
  await post(1)
  const says = n => i => i.action.type === 'posts/say' && i.action.n === n
  await second.heardByTab.times(says(1))
  first.destroy()
  await post(2)
  await second.heardByTab.times(says(2))
  await post(3)
  await second.heardByTab.times(says(3))
  const heard = new Set(second.heardByTab.list('posts/say').map(i => i.action.n))
  assert.deepEqual([...heard].sort(), [0, 1, 2, 3])
}, CROSS_TAB)
