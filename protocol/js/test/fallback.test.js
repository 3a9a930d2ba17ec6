// Whether a socket can be had shows by trying: what refuses, swallows or cuts sockets leaves the page with HTTP.

import assert from 'node:assert/strict'
import test from 'node:test'

import { hears, reaches, Scene, send, sharedServer } from './harness/scene.js'

const tidelog = await sharedServer()
const add = n => ({ n, type: 'app/add' })
const wayOf = page => page.node.connection.connection.way

async function opened(t, { keep, sockets = 'pass', ...over } = {}) {
  const scene = new Scene(t)
  const proxy = await scene.proxy(tidelog)
  proxy.sockets = sockets
  const userId = scene.user()
  const page = await scene.page(proxy, { keep, over: { socket: 'first', ...over }, userId })
  const desk = await scene.page(tidelog, { userId })
  return { desk, page, proxy, scene, userId }
}

async function works({ desk, page }, n = 1) {
  await send(page, add(2 * n))
  await send(desk, add(2 * n + 1))
  await hears(desk, 2 * n)
  await hears(page, 2 * n)
}

test('where sockets pass, a socket is used', async t => {
  const all = await opened(t)
  assert.equal(wayOf(all.page), 'socket')
  await works(all)
  assert.equal(all.proxy.count('GET'), 0)
})

test('where sockets are refused, HTTP is used at once', async t => {
  const all = await opened(t, { patience: 60_000, sockets: 'refuse' })
  assert.equal(wayOf(all.page), 'http')
  await works(all)
})

test('where sockets open and nothing comes of what is said, HTTP is used', async t => {
  const all = await opened(t, { patience: 300, sockets: 'swallow' })
  assert.equal(wayOf(all.page), 'http')
  await works(all)
})

test('where there are no sockets at all, HTTP is used', async t => {
  class Forbidden {
    constructor() {
      throw new Error('not here')
    }
  }
  const all = await opened(t, { WebSocket: Forbidden })
  assert.equal(wayOf(all.page), 'http')
  await works(all)
})

test('a socket is not tried again with each connection, and is when its time has come', async t => {
  const all = await opened(t, { again: 0, sockets: 'refuse' })
  all.proxy.sockets = 'pass'
  const connection = all.page.node.connection
  const left = reaches(all.page, 'disconnected')
  connection.disconnect('error')
  await left
  await reaches(all.page, 'synchronized')
  assert.equal(wayOf(all.page), 'socket')

  const other = await opened(t, { sockets: 'refuse' })
  other.proxy.sockets = 'pass'
  const gone = reaches(other.page, 'disconnected')
  other.page.node.connection.disconnect('error')
  await gone
  await reaches(other.page, 'synchronized')
  assert.equal(wayOf(other.page), 'http')
  assert.equal(other.proxy.count('UPGRADE'), 1)
})

test('sockets that are cut again and again give way to HTTP', async t => {
  const all = await opened(t)
  for (let cut = 0; cut < 3; cut++) {
    await reaches(all.page, 'synchronized')
    assert.equal(wayOf(all.page), 'socket')
    const left = reaches(all.page, 'disconnected')
    all.proxy.cut()
    await left
  }
  await reaches(all.page, 'synchronized')
  assert.equal(wayOf(all.page), 'http')
  await works(all)
})

test('a server that is down is not taken for one without sockets', async t => {
  const all = await opened(t)
  const left = reaches(all.page, 'disconnected')
  all.proxy.goOffline()
  await left
  const tries = all.page.errors.items.length
  await all.page.errors.until(items => items.length >= tries, 'attempts')
  all.proxy.goOnline()
  await reaches(all.page, 'synchronized')
  assert.equal(wayOf(all.page), 'socket')
})

test('a page that passes from a socket to HTTP and back hears everything once', async t => {
  // What has no reason is not in the page's log, so that it would be heard again if it came again.
  const all = await opened(t, { again: 0, keep: false })
  const { desk, page, proxy } = all
  let n = 0
  for (const sockets of ['refuse', 'pass', 'refuse', 'pass']) {
    proxy.sockets = sockets
    const left = reaches(page, 'disconnected')
    page.node.connection.disconnect('error')
    await left
    await send(desk, add((n += 1)))
    await reaches(page, 'synchronized')
    assert.equal(wayOf(page), sockets === 'pass' ? 'socket' : 'http')
    await send(desk, add((n += 1)))
    await hears(page, n)
  }
  const heard = page.heard.items.filter(i => i.action.type === 'app/add').map(i => i.action.n)
  assert.deepEqual(heard, [1, 2, 3, 4, 5, 6, 7, 8])
})

test('where streams are held back, long polls are used', async t => {
  const scene = new Scene(t)
  const proxy = await scene.proxy(tidelog)
  proxy.holdsStreams = true
  const userId = scene.user()
  const page = await scene.page(proxy, { over: { patience: 200 }, userId })
  const desk = await scene.page(tidelog, { userId })
  await works({ desk, page })
  await proxy.requests.until(items => items.some(i => i.includes('wait=')), 'a long poll')
})
