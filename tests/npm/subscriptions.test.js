// Channels: what a subscriber gets, when it ends, and how it goes on after a connection was lost.

import assert from 'node:assert/strict'
import test from 'node:test'

import { reaches, send, settled, undone } from './harness/pages.js'
import { UP } from './harness/proxy.js'
import { RULES } from './harness/rules.js'
import { inEachProtocol, inEachVersion, Scene, sharedServer } from './harness/scene.js'

const tidelog = await sharedServer({ config: RULES })

let posts = 0
const newPost = () => `p${(posts += 1)}`

const subscribe = (page, id, more) => send(page, { type: 'logux/subscribe', channel: `posts/${id}`, ...more })
const unsubscribe = (page, id, more) => send(page, { type: 'logux/unsubscribe', channel: `posts/${id}`, ...more })
const post = (page, id, n, more) => send(page, { type: 'posts/say', id, n, ...more })

/** Which `n` a page heard, in order. */
const said = page => page.heard.list('posts/say').map(i => i.action.n)

/** Resolves when the page heard the saying `n`; what it heard of earlier ones came before. */
const hears = (page, n) => page.heard.times(({ action }) => action.type === 'posts/say' && action.n === n)

const subscriptions = page => Object.keys(page.subscriptions).length

/** Cuts a page off and lets it find its way back after `meanwhile`. */
async function away(proxy, page, meanwhile) {
  const left = reaches(page, 'disconnected')
  proxy.goOffline()
  await left
  await meanwhile()
  proxy.goOnline()
  await reaches(page, 'synchronized')
}

/** Resolves when the page's last resubscription to each channel and filter has been answered. */
function resubscribed(page) {
  const answered = (items, id) => items.some(i => i.action.type === 'logux/processed' && i.action.id === id)
  return page.heard.until(items => {
    const asked = items.filter(i => i.meta.resubscribe)
    const last = new Map(asked.map(i => [JSON.stringify([i.action.channel, i.action.filter]), i.meta.id]))
    return last.size > 0 && [...last.values()].every(id => answered(items, id))
  }, 'answers to all resubscriptions')
}

inEachVersion('a subscriber gets what is there, then processed, then what is new', async scene => {
  const id = newPost()
  const author = await scene.page(tidelog, { userId: scene.user() })
  for (const n of [1, 2, 3]) await post(author, id, n)
  const reader = await scene.page(tidelog, { userId: scene.user() })
  await subscribe(reader, id)
  assert.deepEqual(said(reader), [1, 2, 3])
  const order = reader.heard.items.map(i => i.action.type)
  assert.ok(order.lastIndexOf('posts/say') < order.indexOf('logux/processed'))
  assert.equal(subscriptions(reader), 1)
  await post(author, id, 4)
  await hears(reader, 4)
  assert.deepEqual(said(reader), [1, 2, 3, 4])
  assert.deepEqual(
    reader.heard.list('posts/say').map(i => i.meta.id),
    author.heard.list('posts/say').map(i => i.meta.id)
  )
})

inEachVersion('a channel that starts fresh brings no history', async scene => {
  const reader = await scene.page(tidelog, { userId: scene.user() })
  await send(reader, { type: 'logux/subscribe', channel: 'fresh/1' })
  assert.equal(subscriptions(reader), 1)
})

inEachVersion('a channel that its rule denies is undone, and stays silent', async scene => {
  const author = await scene.page(tidelog, { userId: scene.user() })
  const reader = await scene.page(tidelog, { userId: scene.user() })
  const undo = await undone(reader, { type: 'logux/subscribe', channel: 'posts/hidden' })
  assert.equal(undo.reason, 'denied')
  await post(author, 'hidden', 1)
  await settled(reader)
  assert.deepEqual(said(reader), [])
  assert.equal(subscriptions(reader), 0)
})

inEachVersion('the author of an action gets no echo through its own subscription', async scene => {
  const id = newPost()
  const author = await scene.page(tidelog, { userId: scene.user() })
  await subscribe(author, id)
  await post(author, id, 1)
  await settled(author)
  assert.deepEqual(said(author), [1])
})

inEachVersion('an action that reaches a client by several addresses is heard once', async scene => {
  const id = newPost()
  const bob = scene.user('bob')
  const author = await scene.page(tidelog, { userId: scene.user('ann') })
  const reader = await scene.page(tidelog, { userId: bob })
  await subscribe(reader, id)
  await subscribe(reader, id, { filter: { kind: 'x' } })
  await send(author, { type: 'both/say', id, to: bob, kind: 'x' })
  await send(author, { type: 'both/last', id, to: bob })
  await reader.heard.times('both/last')
  assert.equal(reader.heard.count('both/say'), 1)
})

inEachVersion('a filter lets through what is equal, live and in the load', async scene => {
  const id = newPost()
  const author = await scene.page(tidelog, { userId: scene.user() })
  await post(author, id, 1, { lang: 'en' })
  await post(author, id, 2, { lang: 'de' })
  const reader = await scene.page(tidelog, { userId: scene.user() })
  await subscribe(reader, id, { filter: { lang: 'en' } })
  assert.deepEqual(said(reader), [1])
  await post(author, id, 3, { lang: 'de' })
  await post(author, id, 4, { lang: 'en' })
  await hears(reader, 4)
  assert.deepEqual(said(reader), [1, 4])
})

inEachVersion('of two filters on one channel one ends, the other goes on', async scene => {
  const id = newPost()
  const author = await scene.page(tidelog, { userId: scene.user() })
  const reader = await scene.page(tidelog, { userId: scene.user() })
  await subscribe(reader, id, { filter: { lang: 'en' } })
  await subscribe(reader, id, { filter: { lang: 'de' } })
  assert.equal(subscriptions(reader), 2)
  await post(author, id, 1, { lang: 'en' })
  await post(author, id, 2, { lang: 'de' })
  await hears(reader, 2)
  await unsubscribe(reader, id, { filter: { lang: 'en' } })
  assert.equal(subscriptions(reader), 1)
  await post(author, id, 3, { lang: 'en' })
  await post(author, id, 4, { lang: 'de' })
  await hears(reader, 4)
  assert.deepEqual(said(reader), [1, 2, 4])
})

inEachVersion('after an unsubscribe nothing more comes, and one without a subscription is answered too', async scene => {
  const id = newPost()
  const author = await scene.page(tidelog, { userId: scene.user() })
  const reader = await scene.page(tidelog, { userId: scene.user() })
  await subscribe(reader, id)
  await post(author, id, 1)
  await hears(reader, 1)
  await unsubscribe(reader, id)
  assert.equal(subscriptions(reader), 0)
  await post(author, id, 2)
  await settled(reader)
  assert.deepEqual(said(reader), [1])
  await unsubscribe(reader, 'never')
  await unsubscribe(reader, id)
})

inEachProtocol('an unsubscribe id that comes again is only acknowledged', async scene => {
  const id = newPost()
  const wire = await scene.wire(tidelog)
  await wire.signIn(`${scene.user()}:c:t`)
  const channel = `posts/${id}`
  await wire.sync(1, [{ type: 'logux/subscribe', channel }, 1])
  await wire.sync(2, [{ type: 'logux/unsubscribe', channel }, 2])
  await wire.sync(3, [{ type: 'logux/subscribe', channel }, 3])
  await wire.sync(4, [{ type: 'logux/unsubscribe', channel }, 2])
  assert.equal(wire.verdicts(wire.id(2)).length, 1)
})

inEachVersion('a subscription that was answered before the cut resumes exactly', async scene => {
  const id = newPost()
  const proxy = await scene.proxy(tidelog)
  const author = await scene.page(tidelog, { userId: scene.user() })
  await post(author, id, 1)
  const reader = await scene.page(proxy, { userId: scene.user() })
  await subscribe(reader, id)
  const [processed] = reader.heard.list('logux/processed')
  await post(author, id, 2)
  await hears(reader, 2)
  await settled(reader)
  await away(proxy, reader, async () => {
    await post(author, id, 3)
    await post(author, id, 4)
  })
  await resubscribed(reader)
  await hears(reader, 4)
  const [again] = proxy.list({ dir: UP, link: proxy.accepted }).filter(i => i[2]?.type === 'logux/subscribe')
  assert.equal(again[2].since.id, processed.meta.id)
  assert.deepEqual(said(reader), [1, 2, 3, 4])
  await post(author, id, 5)
  await hears(reader, 5)
  assert.deepEqual(said(reader), [1, 2, 3, 4, 5])
})

inEachVersion('an edit that was made long before but arrives late is not lost by a resume', async scene => {
  const id = newPost()
  const proxy = await scene.proxy(tidelog)
  const slow = await scene.proxy(tidelog)
  const author = await scene.page(slow, { userId: scene.user() })
  const reader = await scene.page(proxy, { userId: scene.user() })
  // Made before the reader subscribes, delivered while the reader is away: its time is older than `since`.
  const left = reaches(author, 'disconnected')
  slow.goOffline()
  await left
  const late = post(author, id, 1)
  await subscribe(reader, id)
  await away(proxy, reader, async () => {
    slow.goOnline()
    await late
  })
  await hears(reader, 1)
  await settled(reader)
  assert.deepEqual(said(reader), [1])
})

inEachVersion('several subscriptions of a page all resume, and each once', async scene => {
  const [one, two, three] = [newPost(), newPost(), newPost()]
  const proxy = await scene.proxy(tidelog)
  const author = await scene.page(tidelog, { userId: scene.user() })
  const reader = await scene.page(proxy, { userId: scene.user() })
  await subscribe(reader, one)
  await subscribe(reader, two)
  await subscribe(reader, two, { filter: { lang: 'en' } })
  await subscribe(reader, three)
  await unsubscribe(reader, three)
  for (let round = 0; round < 4; round++) {
    await away(proxy, reader, async () => {
      await post(author, one, `${round} one`)
      await post(author, two, `${round} two`, { lang: 'en' })
      await post(author, three, `${round} three`)
    })
    await hears(reader, `${round} one`)
    await hears(reader, `${round} two`)
    // A load that is cut starts again; these are not.
    await resubscribed(reader)
    await settled(reader)
  }
  assert.deepEqual(said(reader).sort(), [0, 1, 2, 3].flatMap(i => [`${i} one`, `${i} two`]))
})

inEachVersion('a subscription that the page gave up while it was away is not resumed', async scene => {
  const id = newPost()
  const proxy = await scene.proxy(tidelog)
  const author = await scene.page(tidelog, { userId: scene.user() })
  const reader = await scene.page(proxy, { userId: scene.user() })
  await subscribe(reader, id)
  await away(proxy, reader, async () => {
    await reader.log.add({ type: 'logux/unsubscribe', channel: `posts/${id}` }, { sync: true })
    await post(author, id, 1)
  })
  await post(author, id, 2)
  await settled(reader)
  assert.deepEqual(said(reader), [])
})

inEachVersion('a load of thousands comes complete and in order, and live ones after it', async scene => {
  const id = newPost()
  const author = await scene.page(tidelog, { userId: scene.user() })
  const count = 3000
  await Promise.all(Array.from({ length: count }, (_, n) => post(author, id, n)))
  const reader = await scene.page(tidelog, { userId: scene.user() })
  const loading = subscribe(reader, id)
  const live = post(author, id, count)
  await Promise.all([loading, live])
  await hears(reader, count)
  assert.deepEqual(said(reader), Array.from({ length: count + 1 }, (_, n) => n))
})

inEachVersion('whoever subscribes in the middle of traffic misses nothing and hears nothing twice', async scene => {
  const id = newPost()
  const readerId = scene.user()
  const author = await scene.page(tidelog, { userId: scene.user() })
  const desk = await scene.page(tidelog, { userId: readerId })
  let going = true
  let count = 0
  const posts = (async () => {
    while (going) {
      // Both logs move on while loads are under way.
      await Promise.all([post(author, id, count), send(desk, { type: 'app/add' })])
      count += 1
    }
  })()
  const readers = []
  for (let i = 0; i < 40; i++) {
    const reader = await scene.page(tidelog, { userId: readerId })
    await subscribe(reader, id, i % 2 ? { filter: {} } : {})
    readers.push(reader)
  }
  going = false
  await posts
  await post(author, id, 'last')
  const everything = [...Array.from({ length: count }, (_, n) => n), 'last']
  for (const reader of readers) {
    await hears(reader, 'last')
    assert.deepEqual(said(reader), everything)
  }
})

test('ten thousand subscriptions cost their owner only', async t => {
  const scene = new Scene(t)
  const wire = await scene.wire(tidelog)
  await wire.signIn(`${scene.user()}:c:t`)
  const pairs = Array.from({ length: 10_000 }, (_, i) => [{ type: 'logux/subscribe', channel: `posts/many${i}` }, i])
  await wire.sync(1, ...pairs)
  const answered = wire.actions().filter(([i]) => /^logux\/(processed|undo)$/.test(i.type))
  assert.equal(answered.length, 10_000)
  const page = await scene.page(tidelog, { userId: scene.user() })
  await send(page, { type: 'app/undisturbed' })
})
