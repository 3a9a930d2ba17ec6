// SyncMap lists over a line that is cut at every frame boundary, and over servers that die: they show what is.

import { cutOnce, everyCut } from './harness/cuts.js'
import { change, create, Maps, remove, shows } from './harness/maps.js'
import { oneClock } from './harness/pages.js'
import { DOWN, UP } from './harness/proxy.js'
import { inEachClient } from './harness/scene.js'

const names = Array.from({ length: 1000 }, (_, i) => `cuts${i}`)
const config = names.map(name => `[[sync_map]]\nname = "${name}"\n`).join('\n')
const free = names.values()

const OPEN = [
  { id: 'a', text: 'a by bob', done: false },
  { id: 'enter', text: 'enter', done: false },
  { id: 'new', text: 'new', done: false },
  { id: 'bob', text: 'bob by ann', done: false }
]
const ALL = [...OPEN, { id: 'leave', text: 'leave', done: true }]

/** Ann works on tasks, and Bob, whose line may be cut, has two lists of them and works on them too. */
async function story(scene, server, { cut, meanwhile = async () => {} }) {
  const name = free.next().value
  const proxy = await scene.proxy(server)
  const fast = { minDelay: 5, maxDelay: 10, clock: oneClock }
  const ann = new Maps(scene, await scene.page(server, { userId: scene.user(), ...fast }), name)
  for (const id of ['a', 'leave', 'gone']) await create(ann, id, { text: id, done: false })
  await create(ann, 'enter', { text: 'enter', done: true })

  if (cut) cutOnce(proxy, cut)
  const bob = new Maps(scene, scene.idlePage(proxy, { userId: scene.user(), ...fast }), name)
  bob.page.start()
  const lists = [bob.list({ done: false }), bob.list()]
  const own = [create(bob, 'bob', { text: 'bob', done: false }), change(bob, 'a', { text: 'a by bob' })]
  await change(ann, 'leave', { done: true })
  await meanwhile()
  await change(ann, 'enter', { done: false })
  await remove(ann, 'gone')
  await create(ann, 'new', { text: 'new', done: false })
  await Promise.all(own)
  await change(ann, 'bob', { text: 'bob by ann' })
  await shows(lists[0], OPEN)
  await shows(lists[1], ALL)
  const frames = { ...proxy.seen }
  proxy.rule = undefined
  const fresh = new Maps(scene, await scene.page(server, { userId: scene.user() }), name)
  await shows(fresh.list({ done: false }), OPEN)
  await shows(fresh.list(), ALL)
  // A few frames more or less, as loads and live changes meet in this way or that.
  return { [UP]: Math.min(frames[UP], 30), [DOWN]: Math.min(frames[DOWN], 30) }
}

inEachClient('every cut ends like no cut', async (scene, t) => {
  const server = await scene.server({ config })
  await everyCut(t, scene.speaks, (inner, cut) => story(inner, server, { cut }))
})

for (const end of ['stop', 'kill']) {
  inEachClient(`lists go on after a ${end} of the server`, async scene => {
    const server = await scene.server({ config })
    const meanwhile = async () => {
      await server[end]()
      await server.start()
    }
    await story(scene, server, { meanwhile })
  })
}
