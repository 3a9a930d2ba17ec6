// Hostile clients: they cost themselves, and nobody else notices.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'

import { send } from './harness/pages.js'
import { Scene, sharedServer } from './harness/scene.js'

const tidelog = await sharedServer()

const MIB = 1024 * 1024

/** Resident memory of the server, in MiB. */
function resident() {
  const status = readFileSync(`/proc/${tidelog.child.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1024
}

async function undisturbed(scene) {
  const page = await scene.page(tidelog, { userId: scene.user() })
  await send(page, { type: 'app/undisturbed' })
}

test('half a frame and then silence holds up nobody', async t => {
  const scene = new Scene(t)
  const wire = await scene.wire(tidelog)
  await wire.signIn(`${scene.user()}:c:t`)
  // A masked text frame of 100 bytes of which 4 come.
  wire.socket._socket.write(Buffer.from([0x81, 0xe4, 1, 2, 3, 4, 5, 6, 7, 8]))
  await undisturbed(scene)
})

for (const signedIn of [false, true]) {
  test(`a frame of 200 MiB ${signedIn ? 'after' : 'before'} sign-in is refused, and never held in memory`, async t => {
    const scene = new Scene(t)
    const wire = await scene.wire(tidelog)
    if (signedIn) await wire.signIn(`${scene.user()}:c:t`)
    const before = resident()
    wire.socket.on('error', () => {})
    const header = Buffer.alloc(14)
    header[0] = 0x81
    header[1] = 0xff
    header.writeBigUInt64BE(BigInt(200 * MIB), 2)
    const socket = wire.socket._socket
    socket.on('error', () => {})
    socket.write(header)
    const piece = Buffer.alloc(MIB, 0x61)
    for (let i = 0; i < 200 && !socket.destroyed; i++) {
      const full = !socket.write(piece)
      if (full) await Promise.race([new Promise(done => socket.once('drain', done)), wire.closed])
    }
    await wire.end()
    assert.ok(resident() - before < 100, `${before} MiB before, ${resident()} after`)
    await undisturbed(scene)
  })
}

test('a client that sends text for ever before it signs in is cut off', async t => {
  const scene = new Scene(t)
  const wire = await scene.wire(tidelog)
  const before = resident()
  const text = 'x'.repeat(1000)
  for (let n = 0; n < 100_000 && wire.socket.readyState === wire.socket.OPEN; n++) {
    wire.send(['sync', n, { type: 'app/early', text }, { id: n, time: n }])
    if (n % 100 === 0) await new Promise(setImmediate)
  }
  await wire.end()
  assert.ok(resident() - before < 50, `${before} MiB before, ${resident()} after`)
  await undisturbed(scene)
})

test('clients that never read cost the server next to nothing', async t => {
  const scene = new Scene(t)
  const user = scene.user()
  const author = await scene.page(tidelog, { userId: user, timeout: 30_000 })
  const deaf = []
  for (let i = 0; i < 20; i++) {
    const wire = await scene.wire(tidelog)
    await wire.signIn(`${user}:deaf${i}:t`)
    wire.socket._socket.pause()
    deaf.push(wire)
  }
  const text = 'x'.repeat(10_000)
  const before = resident()
  for (let round = 0; round < 20; round++) {
    await Promise.all(Array.from({ length: 100 }, (_, n) => send(author, { type: 'app/add', n, text })))
  }
  // 20 MB for each of twenty who do not take it would be 400.
  assert.ok(resident() - before < 150, `${before} MiB before, ${resident()} after`)
  const reader = await scene.page(tidelog, { userId: user })
  await reader.heard.times('app/add', 2000)
})
