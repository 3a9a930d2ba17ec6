// The page of `tidelog serve --dev`: three devices above, what the server has below.

import { Card } from './card.js'
import { Device } from './device.js'
import { Pocket } from './pocket.js'
import { nameOf, ServerView } from './server.js'
import { tour } from './tour.js'

const DEVICES = [
  { user: 'ann', name: 'phone' },
  { user: 'ann', name: 'laptop' },
  { user: 'bob', name: 'phone' }
]

const query = new URLSearchParams(location.search)
const board = `demo/${query.get('board') ?? 'board'}`
const byId = id => document.getElementById(id)

/** A number that no other tab of this browser has: each tab is a set of devices of its own. */
async function ownSlot() {
  if (!navigator.locks) return 1
  for (let slot = 1; ; slot++) {
    let isMine = await new Promise(resolve => {
      navigator.locks.request(`tidelog-demo:${board}:${slot}`, { ifAvailable: true }, lock => {
        resolve(lock !== null)
        // Held for as long as the page is there.
        return lock && new Promise(() => {})
      })
    })
    if (isMine) return slot
  }
}

function renderCursors(devices, server) {
  let rows = devices.map(device => {
    let row = document.createElement('li')
    row.dataset.user = device.user
    let [has, head] = [Math.min(device.cursor, server.head), server.head]
    let meter = document.createElement('meter')
    Object.assign(meter, { max: head || 1, value: has, ariaLabel: nameOf(device.user, device.name) })
    let text = document.createElement('span')
    let behind = device.waiting.size ? `, ${device.waiting.size} not sent` : ''
    text.textContent = `${nameOf(device.user, device.name)}: ${has} of ${head}${behind}`
    row.append(text, meter)
    return row
  })
  byId('cursors').replaceChildren(...rows)
}

const sorted = value => JSON.stringify(value, (key, it) => (isObject(it) ? Object.fromEntries(Object.entries(it).sort()) : it))
const isObject = it => typeof it === 'object' && it !== null && !Array.isArray(it)

/** Devices that have something else than the server. */
const others = (devices, server) => devices.filter(device => sorted(device.document.value) !== sorted(server.value))

function renderAgreement(devices, server) {
  let other = others(devices, server)
  let names = other.map(device => nameOf(device.user, device.name))
  byId('agreement').className = other.length ? 'differs' : 'agrees'
  byId('agreement').textContent = other.length
    ? `${names.join(' and ')} ${other.length === 1 ? 'has' : 'have'} something else, for now`
    : 'All devices have the same.'
}

async function start() {
  let socket = query.get('socket') ?? 'first'
  let slot = await ownSlot()
  let devices = DEVICES.map(it => new Device({ ...it, board, slot, socket }))
  let cards = devices.map(device => new Card(device, byId('devices')))
  let server = new ServerView(board, () => render())
  let pocket = new Pocket(board)
  let isDue = false
  let watching = new Set()
  let agree = signal => new Promise(resolve => {
    let look = () => {
      if (!signal.aborted && !(devices.every(device => device.waiting.size === 0) && others(devices, server).length === 0)) return
      watching.delete(look)
      resolve()
    }
    watching.add(look)
    signal.addEventListener('abort', look)
    look()
  })
  let render = () => {
    if (isDue) return
    isDue = true
    // All that happens in one go is drawn once; a page in the background draws as well.
    setTimeout(() => {
      isDue = false
      cards.forEach(card => card.render())
      renderCursors(devices, server)
      renderAgreement(devices, server)
      pocket.render(server.head)
      for (let look of watching) look()
    })
  }
  for (let device of devices) device.onChange = render
  server.follow()
  await Promise.all([...devices, pocket].map(it => it.start()))
  render()
  let pace = Number(query.get('pace') ?? 2600)
  byId('tour').addEventListener('click', () => tour(cards, byId('tour'), byId('caption'), pace, agree))
  document.body.dataset.ready = 'yes'
}

start()
