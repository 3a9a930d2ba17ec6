// A browser keeps what it was answered, and gives it again when the server says that it has not changed.

import { ok } from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { after, before, test } from 'node:test'
import { build } from 'esbuild'

import { Scene } from './harness.js'

let scene
before(async () => (scene = await Scene.open()))
after(() => scene.close())

/** The package's module as a page imports it. */
async function moduleAt(path) {
  let entryPoints = [fileURLToPath(new URL(path, import.meta.url))]
  let { outputFiles } = await build({ bundle: true, entryPoints, format: 'esm', write: false })
  return `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`
}

test('a pull that has nothing new has the time of now', async () => {
  let demo = await scene.demo({ url: `${scene.url}?board=time`, bypassCSP: true })
  let module = await moduleAt('../../src/http.js')
  let [first, second] = await demo.page.evaluate(async from => {
    let { Api } = await import(from)
    let api = new Api({ url: location.origin, token: 'time' })
    let { cursor } = await api.pull()
    let before = await api.pull({ since: cursor })
    // The clock has milliseconds.
    await new Promise(resolve => setTimeout(resolve, 5))
    return [before.time, (await api.pull({ since: cursor })).time]
  }, module)
  ok(second[0] > first[1], `${first} and then ${second}`)
  await demo.page.context().close()
})
