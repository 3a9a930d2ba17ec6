// Registering at the real server, which pushes to a service on loopback.

import assert from 'node:assert/strict'
import { createECDH, randomBytes } from 'node:crypto'
import test from 'node:test'

import { Service } from '../../../tests/npm/harness/push.js'
import { Api } from '../src/http.js'
import { registerPush, takeNews, unregisterPush } from '../src/push.js'
import { httpOf, RULES, Scene } from './harness/scene.js'
import { browser } from './harness/stores.js'
import { FakeWorker } from './harness/worker.js'

const WAKE = '\n[wake]\nallow_private = true\ninterval = "1ms"\n'
const note = n => ({ n, type: 'app/add' })

/** A page without a store, its service worker, and another device of its user, at a server that may push to loopback. */
async function opened(t, settings = '') {
  const scene = new Scene(t)
  const server = await scene.server({ config: RULES + WAKE + settings })
  const service = await Service.start()
  scene.onEnd(() => service.stop())
  const [url, user, indexedDB] = [httpOf(server), scene.user(), browser()]
  const worker = new FakeWorker({ indexedDB })
  const keys = createECDH('prime256v1')
  const p256dh = keys.generateKeys('base64url')
  const manager = Object.assign(worker.registration.pushManager, {
    home: service.url,
    keys: { auth: randomBytes(16).toString('base64url'), p256dh }
  })
  const options = { indexedDB, registration: worker.registration, shareToken: true, token: user, url, user }
  const desk = new Api({ client: `${user}:desk`, token: user, url })
  const act = n => desk.push({ actions: [[note(n), {}]] })
  const devices = async () => (await desk.call('/v1/push/devices')).devices
  const taken = async () => (await takeNews({ indexedDB, user })).map(({ action }) => action.n)
  return { act, devices, manager, options, service, taken, user, worker }
}

test('what the page says of its device is what the server keeps, and wakes it by', async t => {
  const { act, devices, options, service, taken, user, worker } = await opened(t)
  const id = await registerPush({ ...options, channels: ['posts/1'], client: `${user}:browser`, language: 'de-AT' })
  assert.equal(await registerPush({ ...options, channels: ['posts/1'], language: 'de-AT' }), id)
  const [{ registered, refreshed, ...device }, ...more] = await devices()
  assert.deepEqual(more, [])
  assert.deepEqual(device, { channels: ['posts/1'], client: `${user}:browser`, id, kind: 'web', language: 'de-at' })
  await act(1)
  assert.equal((await service.next()).path, '/1')
  await worker.push({ head: 1, tidelog: 1 })
  assert.deepEqual(await taken(), [1])
  await unregisterPush(options)
  assert.deepEqual(await devices(), [])
})

for (const most of [1, 20]) {
  test(`a device whose subscription is given up is woken by another, as one of ${most}`, async t => {
    const { act, devices, manager, options, service, taken, worker } = await opened(t, `devices_per_user = ${most}\n`)
    const former = await registerPush(options)
    manager.subscription = null
    await act(1)
    // This one comes to nobody.
    assert.equal((await service.next()).path, '/1')
    await worker.send('pushsubscriptionchange')
    assert.deepEqual(await taken(), [1])
    const [device, ...more] = await devices()
    assert.deepEqual(more, [])
    assert.notEqual(device.id, former)
    await act(2)
    assert.equal((await service.next()).path, '/2')
    await worker.push({ head: 2, tidelog: 1 })
    assert.deepEqual(await taken(), [2])
    await unregisterPush(options)
    assert.deepEqual(await devices(), [])
  })
}
