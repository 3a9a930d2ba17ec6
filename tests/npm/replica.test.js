// A cloud and an edge with clients on both: the link is cut and heals, both servers are killed, and pages are none the wiser.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { reaches, send, settled } from './harness/pages.js'
import { RULES } from './harness/rules.js'
import { inEachVersion } from './harness/scene.js'
import { storedLog, tidelog } from './harness/server.js'

const add = (page, n) => send(page, { type: 'app/add', n })
const ns = page => page.heard.list('app/add').map(i => i.action.n)
const hears = (page, n) => page.heard.times(i => i.action.type === 'app/add' && i.action.n === n)

/** What is stored of `app/add`; what pages say to settle may still be on its way. */
async function stored(server, userId) {
  const lines = await storedLog(server, { user: userId })
  const added = lines.filter(i => i.action.type === 'app/add')
  return added.map(i => [i.id, i.action.n]).sort()
}

async function pair(scene) {
  const cloud = await scene.server({ config: RULES })
  const { token } = JSON.parse(await tidelog('replica', 'add', 'ship-7', '--data', cloud.data))
  const file = join(cloud.root, 'token')
  writeFileSync(file, token)
  const args = ['--upstream', cloud.url, '--replica', 'ship-7', '--upstream-token-file', file]
  const edge = await scene.server({ config: RULES, args })
  return { cloud, edge }
}

inEachVersion('pages on a cloud and on an edge have each action once, whatever happens to the link', async scene => {
  const { cloud, edge } = await pair(scene)
  const userId = scene.user()
  const desk = await scene.page(cloud, { userId })
  const page = await scene.page(edge, { userId })
  await add(desk, 1)
  await add(page, 2)
  await hears(page, 1)
  await hears(desk, 2)

  // No link: the page on the edge goes on, and so do those who come.
  await cloud.kill()
  await reaches(desk, 'disconnected')
  await add(page, 3)
  await settled(page)
  const tablet = await scene.page(edge, { userId })
  for (const n of [1, 2, 3]) await hears(tablet, n)
  const offline = add(desk, 4)
  await cloud.start()
  await offline
  await hears(desk, 3)
  await hears(page, 4)
  await hears(tablet, 4)

  // In the middle of what both have to say.
  const many = Array.from({ length: 40 }, (_, n) => 100 + n)
  const said = many.map(n => add(n % 2 ? desk : page, n))
  await edge.kill()
  await edge.start()
  await Promise.all(said)
  for (const n of many) for (const one of [desk, page, tablet]) await hears(one, n)
  for (const one of [desk, page, tablet]) await settled(one)

  const all = [1, 2, 3, 4, ...many]
  for (const one of [desk, page, tablet]) assert.deepEqual(ns(one).sort((a, b) => a - b), all)
  const there = await stored(cloud, userId)
  assert.equal(there.length, all.length)
  assert.deepEqual(there, await stored(edge, userId))
})

inEachVersion('what is said in a channel on one side is heard by those who follow it on the other', async scene => {
  const { cloud, edge } = await pair(scene)
  const author = await scene.page(cloud, { userId: scene.user() })
  const reader = await scene.page(edge, { userId: scene.user() })
  await send(reader, { type: 'logux/subscribe', channel: 'posts/deck' })
  await send(author, { type: 'posts/say', id: 'deck', n: 1 })
  await reader.heard.times('posts/say')
  await send(reader, { type: 'posts/say', id: 'deck', n: 2 })
  await send(author, { type: 'logux/subscribe', channel: 'posts/deck' })
  await author.heard.times(i => i.action.type === 'posts/say' && i.action.n === 2)
})
