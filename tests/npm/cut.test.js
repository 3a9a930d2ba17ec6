// Connections that are cut at every frame boundary, one after the other, in both directions: the end is always the same.

import assert from 'node:assert/strict'
import test from 'node:test'

import { reaches, send, settled } from './harness/pages.js'
import { DOWN, UP } from './harness/proxy.js'
import { RULES } from './harness/rules.js'
import { Scene, sharedServer } from './harness/scene.js'

const tidelog = await sharedServer({ config: RULES })

const MODES = {
  // The frame does not arrive.
  before: 'cut',
  // The frame arrives, and nothing after it.
  after: 'pass-then-cut'
}

const ns = (page, type) => page.heard.list(type).map(i => i.action.n)
const SORT = { own: [1, 2, 3], desk: [11, 12, 13], posts: [21, 22, 23, 24, 25] }

/** The rule that cuts once, at the n-th frame of a direction, counted from now. */
function cutOnce(proxy, { dir, nth, mode }) {
  let seen = 0
  proxy.rule = frame => {
    if (frame.dir !== dir) return 'pass'
    seen += 1
    return seen === nth ? MODES[mode] : 'pass'
  }
}

/** What happens between a page, its user's desk and an author of posts, from `subscribed` or from the very start. */
async function story(scene, { channel, cut, from }) {
  const userId = scene.user()
  const proxy = await scene.proxy(tidelog)
  const author = await scene.page(tidelog, { userId: scene.user() })
  const desk = await scene.page(tidelog, { userId })
  const page = scene.idlePage(proxy, { userId, minDelay: 5, maxDelay: 10 })
  const post = n => send(author, { type: 'posts/say', id: channel, n })
  const subscribe = () => send(page, { type: 'logux/subscribe', channel: `posts/${channel}` })
  await post(21)
  await post(22)

  if (from === 'sign-in' && cut) cutOnce(proxy, cut)
  page.start()
  await subscribe()
  if (from === 'subscribed') {
    await settled(page)
    await page.heard.times('posts/say', 2)
    await reaches(page, 'synchronized')
    const start = { ...proxy.seen }
    if (cut) cutOnce(proxy, cut)
    else proxy.start = start
  }
  const own = SORT.own.map(n => send(page, { type: 'app/own', n }))
  for (const n of SORT.desk) await send(desk, { type: 'app/desk', n })
  for (const n of [23, 24, 25]) await post(n)
  await Promise.all(own)
  await page.heard.until(() => new Set(ns(page, 'app/desk')).size === 3, 'all of the desk')
  await page.heard.until(() => new Set(ns(page, 'posts/say')).size === 5, 'all posts')
  await desk.heard.until(() => ns(desk, 'app/own').length >= 3, 'all of the page')
  // The state is no witness here: a client that dispatches just as its line breaks shows `sending` ever after.
  proxy.rule = undefined
  await settled(page)
  await settled(desk)
  return { page, desk, proxy }
}

/** Checks the end of a story. A load that was cut starts again, so what it brings may come twice; all else may not. */
async function check({ page, desk }, { from }) {
  assert.deepEqual(ns(desk, 'app/own').sort(), SORT.own)
  assert.deepEqual(ns(page, 'app/desk').sort(), SORT.desk)
  assert.deepEqual(ns(page, 'app/own'), SORT.own)
  const posts = ns(page, 'posts/say')
  if (from === 'subscribed') assert.deepEqual(posts.sort(), SORT.posts)
  else assert.deepEqual([...new Set(posts)].sort(), SORT.posts)
  assert.equal(Object.keys(page.subscriptions).length, 1)
  const left = []
  await page.log.each(action => {
    left.push(action)
  })
  assert.deepEqual(left, [])
}

let channels = 0
const PARALLEL = 4

for (const from of ['sign-in', 'subscribed']) {
  test(`counted from ${from}, every cut ends like no cut`, async t => {
    const uncut = new Scene(t)
    const plain = await story(uncut, { channel: `cut${(channels += 1)}`, from })
    await check(plain, { from: 'subscribed' })
    const start = plain.proxy.start ?? { [UP]: 0, [DOWN]: 0 }
    const cuts = []
    for (const dir of [UP, DOWN]) {
      const frames = plain.proxy.seen[dir] - start[dir]
      assert.ok(frames > 5)
      for (const mode of Object.keys(MODES)) {
        for (let nth = 1; nth <= frames; nth++) cuts.push({ dir, nth, mode })
      }
    }
    const work = cuts.values()
    const worker = async () => {
      for (const cut of work) {
        await t.test(`cut ${cut.mode} frame ${cut.nth} of ${cut.dir}`, async t => {
          const scene = new Scene(t)
          const end = await story(scene, { channel: `cut${(channels += 1)}`, cut, from })
          await check(end, { from })
        })
      }
    }
    await Promise.all(Array.from({ length: PARALLEL }, worker))
  })
}

test('a line that is cut at every tenth frame, for ever, still carries everything', async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const proxy = await scene.proxy(tidelog)
  const desk = await scene.page(tidelog, { userId })
  const page = await scene.page(proxy, { userId, minDelay: 5, maxDelay: 10 })
  let seen = 0
  proxy.rule = () => ((seen += 1) % 10 === 0 ? 'cut' : 'pass')
  const work = []
  for (let n = 0; n < 100; n++) {
    work.push(send(page, { type: 'app/own', n }))
    await send(desk, { type: 'app/desk', n })
  }
  await Promise.all(work)
  await page.heard.until(() => new Set(ns(page, 'app/desk')).size === 100, 'all of the desk')
  proxy.rule = undefined
  await settled(page)
  await settled(desk)
  const all = Array.from({ length: 100 }, (_, n) => n)
  assert.deepEqual(ns(page, 'app/desk'), all)
  assert.deepEqual(ns(desk, 'app/own').sort((a, b) => a - b), all)
})
