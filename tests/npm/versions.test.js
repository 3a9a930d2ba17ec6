// Protocols 4, 5 and 7 side by side: who is answered how, in which form, and in which pieces.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'

import { BARE } from './harness/bare.js'
import { kept, reaches, send, settled } from './harness/pages.js'
import { DOWN, UP } from './harness/proxy.js'
import { RULES } from './harness/rules.js'
import { inEachVersion, Scene, sharedServer } from './harness/scene.js'
import { storedLog } from './harness/server.js'
import { SPOKEN } from './harness/spoken.js'

const tidelog = await sharedServer({ config: RULES })
const keys = mkdtempSync(join(tmpdir(), 'tidelog-keys-'))
const keyFile = join(keys, 'key')
writeFileSync(keyFile, 'a secret of at least thirty-two bytes')
after(() => rmSync(keys, { recursive: true }))

const ALL = [...new Set([...SPOKEN, ...BARE])]
const SEVENS = ALL.filter(i => i.startsWith('7'))

inEachVersion('each is answered with its own number, and only 7 is told when it is ready', async scene => {
  const proxy = await scene.proxy(tidelog)
  const page = await scene.page(proxy, { userId: scene.user() })
  assert.equal(page.node.remoteProtocol, page.kind.protocol)
  assert.equal(page.node.remoteSubprotocol, scene.speaks === '4' ? '10.0.0' : 10)
  assert.match(page.node.remoteNodeId, /^server:/)
  await settled(page)
  const ready = proxy.list({ dir: DOWN, name: 'ready' })
  assert.equal(ready.length, scene.speaks.startsWith('7') ? 1 : 0)
})

inEachVersion('a wrong token is told once, and the page does not come again', async scene => {
  const server = await scene.server({ dev: false, config: `[[auth.jwt]]\nsecret_file = "${keyFile}"\n` })
  const proxy = await scene.proxy(server)
  const page = scene.idlePage(proxy, { userId: scene.user() })
  page.node.catch(error => page.errors.push({ type: error.type }))
  page.start()
  await page.errors.until(items => items.some(i => i.type === 'wrong-credentials'), 'the error')
  await reaches(page, 'disconnected')
  assert.equal(proxy.accepted, 1)
})

for (const [protocol, supported] of [[0, 4], [3, 4], [6, 7], [8, 7], [99, 7]]) {
  test(`a client of protocol ${protocol} is told which one it should speak`, async t => {
    const scene = new Scene(t)
    const wire = await scene.wire(tidelog)
    wire.send(['connect', protocol, '40:a:b', 0, { token: 'any', subprotocol: protocol < 5 ? '1.0.0' : 1 }])
    const options = { supported, used: protocol }
    assert.deepEqual(await wire.end(), [['error', 'wrong-protocol', options]])
    const binary = await scene.wire(tidelog)
    const node = Buffer.from('40:a:b')
    binary.send(Buffer.from([0x63, protocol, node.length, ...node, 0, 1, 0]))
    const [error] = await binary.end()
    assert.ok(error.binary.startsWith('e\u000ewrong-protocol'), error.binary)
    assert.ok(error.binary.endsWith(JSON.stringify({ supported: 7, used: protocol })), error.binary)
  })
}

test('JSON in a binary frame is read, and answered as text', async t => {
  const scene = new Scene(t)
  const wire = await scene.wire(tidelog)
  wire.send(Buffer.from(JSON.stringify(['connect', 7, `${scene.user()}:c:t`, 0, { token: 'any' }])))
  await wire.next('connected')
  await wire.next('ready')
  wire.send(Buffer.from('["ping",1]'))
  await wire.next('pong')
  // And bytes are answered in bytes, on the same connection.
  wire.send(Buffer.from([0x70, 1]))
  const pong = await wire.frames.until(items => items.find(i => i.binary), 'bytes')
  assert.equal(pong.binary[0], 'P')
})

test('bytes that are no frame are answered with their start, and end that connection only', async t => {
  const scene = new Scene(t)
  const page = await scene.page(tidelog, { userId: scene.user(), speaks: '7 binary' })
  for (const [bytes, told] of [
    [[], ''],
    [[0x00], '00'],
    [[0x63, 7], '63 07'],
    [[0x73, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f], 'a sync has at most 200000 actions'],
    [[0x70, ...Array(9).fill(0xff)], '70 ff ff ff ff ff ff ff ff ff']
  ]) {
    const wire = await scene.wire(tidelog)
    wire.send(Buffer.from(bytes))
    const [error] = await wire.end()
    assert.ok(error.binary.startsWith('e\u000cwrong-format'), JSON.stringify(error))
    assert.ok(error.binary.endsWith(JSON.stringify(told)), JSON.stringify(error))
  }
  await settled(page)
})

inEachVersion(
  'a long history comes in ascending pieces of a hundred, and ready after the last',
  async scene => {
    const userId = scene.user()
    const author = await scene.page(tidelog, { userId, speaks: 'client' })
    const all = Array.from({ length: 350 }, (_, n) => n)
    await Promise.all(all.map(n => send(author, { type: 'app/add', n })))
    const proxy = await scene.proxy(tidelog)
    const page = await scene.page(proxy, { userId })
    assert.deepEqual(page.heard.list('app/add').map(i => i.action.n), all)
    const frames = proxy.list({ dir: DOWN }).filter(i => i[0] === 'sync' || i[0] === 'ready')
    assert.deepEqual(frames.map(i => i[0]), ['sync', 'sync', 'sync', 'sync', 'ready'])
    assert.deepEqual(frames.slice(0, 4).map(i => (i.length - 2) / 2), [100, 100, 100, 50])
    const numbers = frames.map(i => i[1])
    assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b))
    // The number of the last one is a cursor like any other.
    proxy.goOffline()
    await reaches(page, 'disconnected')
    await send(author, { type: 'app/add', n: 'later' })
    proxy.goOnline()
    await page.heard.times(i => i.action.n === 'later')
    await settled(page)
    assert.equal(page.heard.count('app/add'), 351)
  },
  { spoken: SEVENS }
)

inEachVersion('a page of 7 is synchronized when it was told that it is ready, and not before', async scene => {
  const userId = scene.user()
  const author = await scene.page(tidelog, { userId, speaks: 'client' })
  await send(author, { type: 'app/add' })
  const proxy = await scene.proxy(tidelog)
  proxy.rule = ({ name }) => (name === 'ready' ? 'hold' : 'pass')
  const page = scene.idlePage(proxy, { userId })
  page.start()
  await page.heard.times('app/add')
  await proxy.passed(DOWN, frame => frame[0] === 'ready', 'ready, which is held')
  assert.notEqual(page.state, 'synchronized')
  proxy.release()
  await reaches(page, 'synchronized')
}, { spoken: SEVENS })

inEachVersion('a backlog in many small frames is acknowledged frame by frame, and heard in order', async scene => {
  const userId = scene.user()
  const proxy = await scene.proxy(tidelog)
  const other = await scene.page(tidelog, { userId })
  const page = await scene.page(proxy, { userId })
  page.node.options.syncBatch = 5
  proxy.goOffline()
  await reaches(page, 'disconnected')
  const all = Array.from({ length: 12 }, (_, n) => n)
  const verdicts = all.map(n => send(page, { type: 'app/add', n }))
  proxy.goOnline()
  await Promise.all(verdicts)
  await reaches(page, 'synchronized')
  const syncs = proxy.list({ dir: UP, name: 'sync', link: proxy.accepted })
  assert.deepEqual(syncs.map(i => (i.length - 2) / 2), [5, 5, 2])
  const numbers = syncs.map(i => i[1])
  assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b))
  const acknowledged = proxy.list({ dir: DOWN, name: 'synced', link: proxy.accepted })
  assert.deepEqual(acknowledged.map(i => i[1]), numbers)
  await other.heard.times('app/add', all.length)
  assert.deepEqual(other.heard.list('app/add').map(i => i.action.n), all)
}, { spoken: SEVENS })

test('what one device encrypts the others get, as text or as bytes', async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const secret = scene.idlePage(tidelog, { userId })
  secret.log.on('preadd', (action, meta) => action.type === 'app/add' && meta.reasons.push('kept'))
  secret.kind.api.encryptActions(secret, 'open sesame')
  secret.start()
  await reaches(secret, 'synchronized')
  const bytes = await scene.page(tidelog, { userId, speaks: '7 binary' })
  const text = await scene.page(tidelog, { userId, speaks: '4' })
  await send(secret, { type: 'app/add', text: 'compressible '.repeat(100) })
  const [{ action: far, meta }] = await bytes.heard.times('0')
  const [{ action: near }] = await text.heard.times('0')
  assert.deepEqual(Buffer.from(far.d).toString('base64'), near.d)
  assert.deepEqual(Buffer.from(far.iv).toString('base64'), near.iv)
  assert.deepEqual([far.compressed, near.z], [true, true])
  // The device with bytes says the same again: only as what the first one said it can be read.
  await send(bytes, { ...far })
  const [, { action }] = await secret.heard.times('app/add', 2)
  assert.equal(action.text, 'compressible '.repeat(100))
  await send(bytes, { type: '0/clean', id: meta.id })
  const stored = await storedLog(tidelog, { user: userId })
  assert.deepEqual(stored.map(i => i.action), [near])
})

inEachVersion('pings are answered with a number that never falls', async scene => {
  const proxy = await scene.proxy(tidelog)
  const page = await scene.page(proxy, { userId: scene.user(), ping: 100 })
  await send(page, { type: 'app/add' })
  await proxy.passed(UP, frame => frame[0] === 'ping', 'a ping')
  await proxy.passed(DOWN, frame => frame[0] === 'pong', 'a pong')
  assert.equal(page.state, 'synchronized')
  assert.deepEqual(await kept(page), [])
  const numbers = proxy.list({ dir: DOWN }).filter(i => ['sync', 'pong', 'ready'].includes(i[0])).map(i => i[1])
  assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b))
})
