// A device on the screen: what it shows, and what is done on it.

import { counter, register } from '../src/crdt/index.js'
import { nameOf } from './server.js'

const PLACES = { title: ['title'], items: ['items'], count: ['people'], note: ['note'] }

export class Card {
  constructor(device, parent) {
    this.device = device
    let fragment = document.getElementById('device').content.cloneNode(true)
    this.element = fragment.firstElementChild
    this.find = selector => this.element.querySelector(selector)
    this.element.dataset.user = device.user
    this.element.dataset.device = `${device.user}-${device.name}`
    this.find('.face').textContent = device.user[0].toUpperCase()
    this.find('h2').textContent = nameOf(device.user, device.name)
    this.#listen()
    parent.append(fragment)
  }

  #listen() {
    let { device, find } = this
    find('.switch input').addEventListener('change', event => device.switch(event.target.checked))
    find('.add').addEventListener('submit', event => {
      event.preventDefault()
      let input = find('[name=item]')
      if (input.value.trim()) this.add(input.value.trim())
      input.value = ''
    })
    find('.less').addEventListener('click', () => this.count(-1))
    find('.more').addEventListener('click', () => this.count(1))
    find('[name=title]').addEventListener('change', event => this.call(event.target.value))
    find('[name=note]').addEventListener('input', event => this.write(event.target.value))
    find('.items').addEventListener('click', event => {
      let button = event.target.closest('button')
      if (button) this.#onItem(button.closest('li').dataset.place, button.className)
    })
  }

  add(text) {
    let list = this.device.document.list(PLACES.items)
    return this.device.act(list.insert(list.items.length, text))
  }

  count(by) {
    return this.device.act(counter.add(this.device.board, PLACES.count, by))
  }

  call(title) {
    return this.device.act(register.set(this.device.board, PLACES.title, title))
  }

  write(note) {
    return this.device.act(this.device.document.text(PLACES.note).become(note))
  }

  #onItem(place, what) {
    let list = this.device.document.list(PLACES.items)
    let at = list.items.findIndex(item => JSON.stringify(item.place) === place)
    if (at >= 0 && what === 'gone') this.device.act(list.delete(at))
    if (at > 0 && what === 'up') this.device.act(list.move(at, at - 1))
  }

  render() {
    let { device, find } = this
    let waiting = device.waiting.size
    this.element.classList.toggle('off', !device.isOnline)
    this.element.classList.toggle('busy', waiting > 0)
    find('.switch input').checked = device.isOnline
    find('.switch span').textContent = device.isOnline ? 'online' : 'offline'
    find('.state').textContent = waiting ? `${device.state}, ${waiting} waiting` : device.state
    this.#renderItems(device.document.list(PLACES.items).items)
    set(find('output'), 'textContent', String(device.document.at(PLACES.count) ?? 0))
    let title = find('[name=title]')
    if (document.activeElement !== title) set(title, 'value', device.document.at(PLACES.title) ?? '')
    retype(find('[name=note]'), device.document.at(PLACES.note) ?? '')
  }

  #renderItems(items) {
    let list = this.find('.items')
    let known = new Map([...list.children].map(row => [row.dataset.element, row]))
    let rows = items.map(({ value, element, place }) => {
      let name = JSON.stringify(element)
      let row = known.get(name) ?? newRow(name, value)
      known.delete(name)
      row.dataset.place = JSON.stringify(place)
      let id = Array.isArray(place) ? place[0] : place
      row.classList.toggle('waits', this.device.waiting.has(id))
      return row
    })
    known.forEach(row => row.remove())
    // Rows that stand where they belong are left alone, and with them whoever is on their buttons.
    rows.forEach((row, at) => list.children[at] !== row && list.insertBefore(row, list.children[at] ?? null))
  }
}

function newRow(name, value) {
  let row = document.createElement('li')
  row.dataset.element = name
  let text = document.createElement('span')
  text.textContent = value
  row.append(text, button('up', '↑', `move ${value} up`), button('gone', '×', `remove ${value}`))
  return row
}

function button(what, sign, label) {
  let made = document.createElement('button')
  Object.assign(made, { className: what, textContent: sign, type: 'button', ariaLabel: label })
  return made
}

function set(element, property, value) {
  if (element[property] !== value) element[property] = value
}

// Puts a text into a field in which somebody may be typing: the caret stays where it was in the text.
function retype(field, text) {
  let before = field.value
  if (before === text) return
  let same = 0
  while (same < before.length && before[same] === text[same]) same++
  let moved = at => (at <= same ? at : Math.max(same, at + text.length - before.length))
  let [start, end] = [moved(field.selectionStart), moved(field.selectionEnd)]
  field.value = text
  if (document.activeElement === field) field.setSelectionRange(start, end)
}
