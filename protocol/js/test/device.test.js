// What a device keeps, as its tabs find it.

import { IDBFactory } from 'fake-indexeddb'
import assert from 'node:assert/strict'
import test from 'node:test'

import 'fake-indexeddb/auto'
import { Device } from '../src/device.js'
import { exchange } from '../src/exchange.js'
import { Problem } from '../src/problem.js'

const news = n => ({ action: { n, type: 'a' }, id: `${n} 10:a:t 0`, time: n })

async function opened(t) {
  const device = await Device.open('10', new IDBFactory())
  t.after(() => device.close())
  return device
}

test('a device has one name, for all that open it', async t => {
  const factory = new IDBFactory()
  const devices = await Promise.all([1, 2, 3].map(() => Device.open('10', factory)))
  t.after(() => devices.forEach(device => device.close()))
  assert.equal(new Set(devices.map(({ client }) => client)).size, 1)
  assert.match(devices[0].client, /^[0-9a-f-]{13}$/)
  assert.deepEqual(await Device.names(factory), ['10'])
})

test('a state is not replaced by an older one, or by one of a former life', async t => {
  const device = await opened(t)
  await device.change({ answered: [], confirmed: [], cursor: 'c', news: [news(1), news(2)] })
  const snapshot = { life: 0, state: 'two', through: 2, version: 0 }
  await device.save(snapshot)
  await device.save({ ...snapshot, state: 'one', through: 1 })
  assert.deepEqual((await device.standing()).snapshot, snapshot)
  await device.change({ answered: [], confirmed: [], news: [], reset: true })
  await device.save({ ...snapshot, through: 3 })
  const { life, snapshot: left, cursor, news: rest } = await device.standing()
  assert.deepEqual([life, left, cursor, rest], [1, undefined, undefined, []])
})

test('news that a state has are kept for other tabs for a while, and those that nobody adds up are bounded', async t => {
  const device = await opened(t)
  const many = Array.from({ length: 1500 }, (_, n) => news(n + 1))
  await device.change({ answered: [], confirmed: [], news: many })
  await device.save({ life: 0, state: null, through: 1400, version: 0 })
  assert.deepEqual((await device.standing()).news.map(({ at }) => at), Array.from({ length: 100 }, (_, n) => n + 1401))
  const { floor, news: all } = await device.standing(0)
  assert.deepEqual([floor, all[0].at], [400, 401])
  await device.trim()
  assert.equal((await device.standing(0)).news[0].at, 501)
  assert.equal((await device.drain()).length, 1000)
  assert.deepEqual(await device.drain(), [])
})

/** A server that has too much to do so many times. */
function busy(times, retryAfter) {
  const api = {
    asked: 0,
    async pull() {
      api.asked += 1
      if (api.asked <= times) throw new Problem(503, { type: 'urn:tidelog:problem:busy' }, retryAfter)
      return { actions: [], cursor: 'c', more: false, time: [1, 1] }
    }
  }
  return api
}

test('an exchange waits as long as a server asks that has too much to do, a few times', async t => {
  const device = await opened(t)
  const twice = busy(2, 0.001)
  await exchange(device, twice)
  assert.equal(twice.asked, 3)
  const often = busy(9, 0.001)
  await assert.rejects(exchange(device, often), { kind: 'busy' })
  assert.equal(often.asked, 4)
})

test('an exchange does not wait for minutes, nor when it is told to end', async t => {
  const device = await opened(t)
  const long = busy(1, 61)
  await assert.rejects(exchange(device, long), { kind: 'busy', retryAfter: 61 })
  const end = new AbortController()
  const ended = exchange(device, busy(1, 30), { signal: end.signal })
  setTimeout(() => end.abort(), 5)
  await assert.rejects(ended, { name: 'AbortError' })
})
