// `@logux/client`, unmodified, over HTTP: by event streams and by long polls.

import { request } from '@logux/client'
import assert from 'node:assert/strict'
import test from 'node:test'

import { hears, ns, reaches, Scene, send, sharedServer, storedLog, within } from './harness/scene.js'

const tidelog = await sharedServer()

function inBothWays(title, story) {
  for (const live of ['stream', 'poll']) test(`${title} (${live})`, t => story(new Scene(t), { live }))
}

const add = n => ({ n, type: 'app/add' })

inBothWays('what one device does, the other hears, once and in order', async (scene, over) => {
  const userId = scene.user()
  const [one, two] = [await scene.page(tidelog, { over, userId }), await scene.page(tidelog, { over, userId })]
  for (let n = 0; n < 5; n++) {
    await send(n % 2 ? one : two, add(n))
    for (const page of [one, two]) await hears(page, n + 1)
  }
  for (const page of [one, two]) assert.deepEqual(ns(page), [0, 1, 2, 3, 4])
  const log = await storedLog(tidelog, { user: userId })
  assert.deepEqual(log.map(i => i.action.n), [0, 1, 2, 3, 4])
  assert.equal(log[0].subprotocol, 10, JSON.stringify(log[0]))
})

inBothWays('a page by HTTP and one by socket are two devices like any others', async (scene, over) => {
  const userId = scene.user()
  const http = await scene.page(tidelog, { over, userId })
  const socket = await scene.page(tidelog, { over: { socket: 'only' }, userId })
  await send(http, add(1))
  await hears(socket, 1)
  await send(socket, add(2))
  assert.deepEqual(await hears(http, 2), [1, 2])
})

inBothWays('many actions at once are all answered, and stored once each', async (scene, over) => {
  const userId = scene.user()
  const page = await scene.page(tidelog, { over, userId })
  await Promise.all(Array.from({ length: 1200 }, (_, n) => send(page, add(n))))
  const log = await storedLog(tidelog, { user: userId })
  assert.deepEqual(log.map(i => i.action.n), Array.from({ length: 1200 }, (_, n) => n))
})

inBothWays('what is undone is told with its reason', async (scene, over) => {
  const page = await scene.page(tidelog, { over, userId: scene.user() })
  await assert.rejects(send(page, { type: 'secret/add' }), error => {
    assert.equal(error.action.reason, 'denied')
    assert.equal(error.action.action.type, 'secret/add')
    return true
  })
  await assert.rejects(send(page, { type: 'unheard-of' }), /unknownType/)
})

inBothWays('one action that is too large does not hold up the others of its frame', async (scene, over) => {
  const page = scene.idlePage(tidelog, { over, userId: scene.user() })
  const small = [1, 2, 3].map(n => page.sync(add(n)))
  const large = assert.rejects(page.sync({ n: 4, text: 'x'.repeat(1 << 18), type: 'app/add' }), /tooLarge/)
  const deep = assert.rejects(page.sync({ n: 5, nested: nested(100), type: 'app/add' }), /error/)
  const last = page.sync(add(6))
  page.start()
  await Promise.all([...small, large, deep, last])
})

function nested(depth) {
  return depth === 0 ? [] : [nested(depth - 1)]
}

inBothWays('what was done offline arrives once the line is back, on both sides', async (scene, over) => {
  const userId = scene.user()
  const proxy = await scene.proxy(tidelog)
  const away = await scene.page(proxy, { over, userId })
  const desk = await scene.page(tidelog, { over, userId })
  const left = reaches(away, 'disconnected')
  proxy.goOffline()
  const first = away.sync(add(1))
  const second = away.sync(add(2))
  await send(desk, add(10))
  // A stream that is cut shows at once; a poll, when it ends or is cut.
  proxy.cut()
  await left
  proxy.goOnline()
  await Promise.all([first, second])
  assert.deepEqual((await hears(away, 3)).sort(), [1, 10, 2])
  assert.deepEqual((await hears(desk, 3)).sort(), [1, 10, 2])
})

inBothWays('a channel is loaded, followed, and left', async (scene, over) => {
  const author = await scene.page(tidelog, { over, userId: scene.user() })
  const id = `left-${over.live}`
  const say = n => send(author, { id, n, type: 'posts/say' })
  await say(1)
  await say(2)
  const reader = await scene.page(tidelog, { over, userId: scene.user() })
  await send(reader, { channel: `posts/${id}`, type: 'logux/subscribe' })
  assert.deepEqual(ns(reader, 'posts/say'), [1, 2])
  await say(3)
  assert.deepEqual(await hears(reader, 3, 'posts/say'), [1, 2, 3])
  assert.deepEqual(reader.heard.items.at(-1).meta.channels, [`posts/${id}`])
  await send(reader, { channel: `posts/${id}`, type: 'logux/unsubscribe' })
  await say(4)
  await send(reader, { channel: `posts/${id}`, type: 'logux/subscribe' })
  assert.deepEqual(ns(reader, 'posts/say'), [1, 2, 3, 4])
})

inBothWays('who may not read a channel hears why, and the others of the frame are loaded', async (scene, over) => {
  const page = scene.idlePage(tidelog, { over, userId: scene.user() })
  const subscribe = channel => page.sync({ channel, type: 'logux/subscribe' })
  const work = [
    assert.rejects(subscribe('posts/hidden'), /denied/),
    assert.rejects(subscribe('nowhere'), /wrongChannel/),
    subscribe('posts/open')
  ]
  page.start()
  await Promise.all(work)
})

inBothWays('a channel goes on after a cut where it was, each action once', async (scene, over) => {
  const id = `cut-${over.live}`
  const author = await scene.page(tidelog, { over, userId: scene.user() })
  const say = n => send(author, { id, n, type: 'posts/say' })
  const proxy = await scene.proxy(tidelog)
  const reader = await scene.page(proxy, { keep: false, over, userId: scene.user() })
  await say(1)
  await send(reader, { channel: `posts/${id}`, type: 'logux/subscribe' })
  for (let n = 2; n < 6; n++) {
    const left = reaches(reader, 'disconnected')
    proxy.goOffline()
    await say(n)
    reader.node.connection.disconnect('error')
    await left
    proxy.goOnline()
    await hears(reader, n, 'posts/say')
  }
  await say(6)
  assert.deepEqual(await hears(reader, 6, 'posts/say'), [1, 2, 3, 4, 5, 6])
})

inBothWays('a second list of a channel gets its past, too', async (scene, over) => {
  const id = `twice-${over.live}`
  const page = await scene.page(tidelog, { keep: false, over, userId: scene.user() })
  const other = await scene.page(tidelog, { over, userId: scene.user() })
  await send(other, { id, n: 1, type: 'posts/say' })
  await send(page, { channel: `posts/${id}`, type: 'logux/subscribe' })
  await send(page, { channel: `posts/${id}`, filter: { n: 1 }, type: 'logux/subscribe' })
  assert.deepEqual(ns(page, 'posts/say'), [1, 1])
  await send(page, { channel: `posts/${id}`, filter: { n: 1 }, type: 'logux/unsubscribe' })
  await send(other, { id, n: 2, type: 'posts/say' })
  assert.deepEqual(await hears(page, 3, 'posts/say'), [1, 1, 2])
})

test('a page whose token is of somebody else stops', async t => {
  const scene = new Scene(t)
  const page = scene.idlePage(tidelog, { token: 'somebody', userId: scene.user() })
  page.start()
  const error = await page.errors.until(items => items[0], 'an error')
  assert.equal(error.type, 'wrong-credentials')
  assert.equal(page.node.connection.reconnecting, false)
})

test('a server that is stopped and started again is found again', async t => {
  const scene = new Scene(t)
  const server = await scene.server()
  const userId = scene.user()
  const page = await scene.page(server, { userId })
  await send(page, add(1))
  const left = reaches(page, 'disconnected')
  await server.stop()
  await left
  const verdict = page.sync(add(2))
  await server.start()
  await verdict
  assert.deepEqual(ns(page), [1, 2])
})

test('another server in the same place gives what it has', async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const proxy = await scene.proxy(tidelog)
  const page = await scene.page(proxy, { userId })
  await send(page, add(1))
  const other = await scene.server()
  const there = await scene.page(other, { userId })
  await send(there, add(2))
  const left = reaches(page, 'disconnected')
  proxy.target = other
  proxy.cut()
  page.node.connection.disconnect('error')
  await left
  await hears(page, 2)
  await send(page, add(3))
  assert.deepEqual(await hears(there, 2), [2, 3])
})

test('a request of one action hears its own answer first, and not the log', async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const desk = await scene.page(tidelog, { userId })
  await send(desk, add(1))
  await send(desk, add(2))
  const server = scene.connection(tidelog)
  const options = { server, subprotocol: 10, token: userId, userId }
  const answer = await within(request(add(3), options), 'the answer')
  assert.equal(answer.type, 'logux/processed')
})
