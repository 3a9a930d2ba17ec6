// A device without a page: only its service worker, which a push wakes for one request.

import { Device } from '../src/device.js'
import { takeNews } from '../src/push.js'
import { author, inWords, nameOf } from './server.js'

const USER = 'bob'
const ROWS_MAX = 5
const byId = id => document.getElementById(id)

export class Pocket {
  #has = 0
  #woken = ''

  constructor(board) {
    this.board = board
    // Users of the package have one such name for each user; the boards of a demo are apart as well.
    this.name = `${USER}:${board}`
  }

  /** Nothing of it is there where the browser has no service workers. */
  async start() {
    if (!navigator.serviceWorker) return
    let device = await Device.open(this.name)
    let about = { url: location.origin, user: USER, channels: [this.board], folds: false }
    await device.note({ about, token: USER })
    this.#has = (await device.fact('demo')) ?? 0
    device.close()
    let worker = await active(await navigator.serviceWorker.register('/demo/service-worker.js', { scope: '/demo/' }))
    navigator.serviceWorker.addEventListener('message', event => event.data.type === 'tidelog/news' && this.#woke())
    byId('push').addEventListener('click', () => worker.postMessage('push'))
    byId('pocket').hidden = false
  }

  async #woke() {
    let news = await takeNews({ user: USER, name: this.name })
    if (news.length === 0) return
    this.#has = Math.max(this.#has, ...news.map(it => it.added ?? 0))
    let device = await Device.open(this.name)
    await device.note({ demo: this.#has })
    device.close()
    this.#woken = `It woke, and one request brought ${news.length}: `
    let rows = news.slice(-ROWS_MAX).reverse().map(({ id, action }) => {
      let row = document.createElement('li')
      row.textContent = `${author(id).text} ${inWords(action)}`
      return row
    })
    byId('pocket-news').replaceChildren(...rows)
    this.render(this.#has)
  }

  /** `head`: the position of the newest action on the board. */
  render(head) {
    let upTo = this.#has ? `it has everything up to #${this.#has}` : 'it has nothing yet'
    let state = this.#has < head ? `${nameOf(USER, 'watch')} sleeps; ${upTo}, and the log is at #${head}.` : `${this.#woken}${upTo}.`
    byId('pocket-state').textContent = state
    byId('push').disabled = this.#has >= head
  }
}

/** The worker of a registration, once it runs. */
async function active(registration) {
  let worker = registration.active ?? registration.waiting ?? registration.installing
  while (worker.state !== 'activated') {
    await new Promise(resolve => worker.addEventListener('statechange', resolve, { once: true }))
  }
  return worker
}
