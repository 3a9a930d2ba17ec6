// Connections that are cut at every frame boundary, one after the other, in both directions: the end is always the same.

import assert from 'node:assert/strict'

import { cutOnce, everyCut } from './harness/cuts.js'
import { kept, send, settled } from './harness/pages.js'
import { DOWN, UP } from './harness/proxy.js'
import { RULES } from './harness/rules.js'
import { inEachVersion, sharedServer } from './harness/scene.js'

const tidelog = await sharedServer({ config: RULES })

const OWN = [1, 2, 3]
const DESK = [11, 12, 13]
const OLD_POSTS = [21, 22]
const NEW_POSTS = [23, 24, 25]
const POSTS = [...OLD_POSTS, ...NEW_POSTS]
const FAST = { minDelay: 5, maxDelay: 10 }

const ns = (page, type) => page.heard.list(type).map(i => i.action.n)
const hasAll = (page, type, wanted) => {
  return page.heard.until(() => wanted.every(n => ns(page, type).includes(n)), `${type} ${wanted}`)
}

let channels = 0

/** What happens between a page, its user's desk and an author of posts; the cut counts from sign-in or from a finished load. */
async function story(scene, { cut, from }) {
  const channel = `cut${(channels += 1)}`
  const userId = scene.user()
  const proxy = await scene.proxy(tidelog)
  const author = await scene.page(tidelog, { userId: scene.user() })
  const desk = await scene.page(tidelog, { userId })
  const page = scene.idlePage(proxy, { userId, ...FAST })
  const post = n => send(author, { type: 'posts/say', id: channel, n })
  for (const n of OLD_POSTS) await post(n)

  if (from === 'sign-in' && cut) cutOnce(proxy, cut)
  page.start()
  await send(page, { type: 'logux/subscribe', channel: `posts/${channel}` })
  let start = { [UP]: 0, [DOWN]: 0 }
  if (from === 'load') {
    await settled(page)
    start = { ...proxy.seen }
    if (cut) cutOnce(proxy, cut)
  }
  const own = OWN.map(n => send(page, { type: 'app/own', n }))
  for (const n of DESK) await send(desk, { type: 'app/desk', n })
  for (const n of NEW_POSTS) await post(n)
  await Promise.all(own)
  await hasAll(page, 'app/desk', DESK)
  await hasAll(page, 'posts/say', POSTS)
  await hasAll(desk, 'app/own', OWN)
  const frames = { [UP]: proxy.seen[UP] - start[UP], [DOWN]: proxy.seen[DOWN] - start[DOWN] }
  proxy.rule = undefined
  await settled(page)
  await settled(desk)

  assert.deepEqual(ns(desk, 'app/own').sort(), OWN)
  assert.deepEqual(ns(page, 'app/desk').sort(), DESK)
  assert.deepEqual(ns(page, 'app/own'), OWN)
  const posts = ns(page, 'posts/say').sort()
  // A load that was cut starts again, so what it brings may come twice; all else may not.
  assert.deepEqual(from === 'load' ? posts : [...new Set(posts)], POSTS)
  assert.equal(Object.keys(page.subscriptions).length, 1)
  assert.deepEqual(await kept(page), [])
  return frames
}

for (const from of ['sign-in', 'load']) {
  inEachVersion(`counted from ${from}, every cut ends like no cut`, (scene, t) => {
    return everyCut(t, scene.speaks, (inner, cut) => story(inner, { cut, from }))
  })
}

inEachVersion('a line that is cut at every tenth frame, for ever, still carries everything', async scene => {
  const userId = scene.user()
  const proxy = await scene.proxy(tidelog)
  const desk = await scene.page(tidelog, { userId })
  const page = await scene.page(proxy, { userId, ...FAST })
  let seen = 0
  proxy.rule = () => ((seen += 1) % 10 === 0 ? 'cut' : 'pass')
  const all = Array.from({ length: 100 }, (_, n) => n)
  const work = []
  for (const n of all) {
    work.push(send(page, { type: 'app/own', n }))
    await send(desk, { type: 'app/desk', n })
  }
  await Promise.all(work)
  await hasAll(page, 'app/desk', all)
  proxy.rule = undefined
  await settled(page)
  await settled(desk)
  assert.deepEqual(ns(page, 'app/desk'), all)
  assert.deepEqual(ns(desk, 'app/own').sort((a, b) => a - b), all)
})
