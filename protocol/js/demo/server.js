// The lower half of the page: what the server has, by its HTTP interface.

import { Api } from '../src/http.js'

const OBSERVER = 'observer'
const ROWS_MAX = 60
const OWN_RULES =
  'This server has rules of its own, and none for the channel of this board: Ann’s devices share her log, and Bob is apart. ' +
  'Without rules in tidelog.toml all three share the board.'
const byId = id => document.getElementById(id)

export class ServerView {
  #api = new Api({ url: location.origin, token: OBSERVER })
  #cursor
  #path = ['title']
  #asked = 0
  head = 0
  value = null

  constructor(board, onNews) {
    this.board = board
    this.onNews = onNews
    byId('curl').textContent = `curl '${location.origin}/v1/log?channel=${encodeURIComponent(board)}' -H 'Authorization: Bearer ann'`
    byId('places').addEventListener('click', event => {
      if (!event.target.dataset.path) return
      this.#path = JSON.parse(event.target.dataset.path)
      this.refresh()
    })
  }

  /** Follows the log, and begins again where it was when the line is cut. */
  async follow() {
    for (;;) {
      try {
        for await (const page of this.#api.stream({ since: this.#cursor, channels: [this.board] })) {
          if (page) this.#take(page)
        }
      } catch (error) {
        console.info('The log is followed again in a moment:', error.message)
        if (error.cursor) this.#cursor = error.cursor
        if (error.kind === 'unknown-channel') byId('log-empty').textContent = OWN_RULES
      }
      await new Promise(resolve => setTimeout(resolve, 1000))
    }
  }

  #take(page) {
    this.#cursor = page.cursor
    for (let [action, meta] of page.actions) {
      this.head = Math.max(this.head, meta.added)
      byId('log').prepend(row(action, meta))
    }
    byId('log-empty').hidden = byId('log').children.length > 0
    while (byId('log').children.length > ROWS_MAX) byId('log').lastElementChild.remove()
    this.refresh()
  }

  /** The document, and why. What a later question has overtaken is not shown. */
  async refresh() {
    let asked = ++this.#asked
    let query = new URLSearchParams({ channel: this.board, document: this.board, path: JSON.stringify(this.#path) })
    let headers = { authorization: `Bearer ${OBSERVER}` }
    try {
      let [read, why] = await Promise.all([
        this.#api.document(this.board, { channel: this.board }),
        fetch(`/demo/why?${query}`, { headers }).then(answer => answer.json())
      ])
      if (asked !== this.#asked) return
      this.value = read.value
      byId('document').textContent = JSON.stringify(read.value, null, 2)
      this.#renderPlaces()
      byId('why').replaceChildren(...reasons(why))
      this.onNews()
    } catch (error) {
      console.info('The server was not asked:', error.message)
    }
  }

  #renderPlaces() {
    let places = Object.keys(this.value ?? {}).map(key => {
      let button = document.createElement('button')
      button.type = 'button'
      button.textContent = key
      button.dataset.path = JSON.stringify([key])
      button.ariaPressed = String(key === this.#path[0])
      return button
    })
    byId('places').replaceChildren(...places)
  }
}

/** Who made an action, by its id: `Ann’s phone`. */
export function author(id) {
  let [user, client] = id.split(' ')[1].split(':')
  return { user, text: nameOf(user, client?.split('-')[0]) }
}

/** `Ann’s phone`; without a device the user. */
export function nameOf(user, device) {
  let name = `${user[0].toUpperCase()}${user.slice(1)}`
  return device ? `${name}’s ${device}` : name
}

const VERBS = {
  'list/insert': ({ values, value }) => `adds ${quoted((values ?? [value]).join(', '))}`,
  'list/delete': () => 'takes an item off the list',
  'list/move': () => 'moves an item',
  'counter/add': ({ by = 1 }) => `counts ${by < 0 ? '−' : '+'}${Math.abs(by)}`,
  'register/set': ({ value }) => `sets the title to ${quoted(value)}`,
  'text/insert': ({ text }) => `writes ${quoted(text)}`,
  'text/delete': () => 'deletes from the note'
}

function quoted(value) {
  let text = String(value)
  return `“${text.length > 32 ? `${text.slice(0, 30)}…` : text}”`
}

/** What an action does; its type, if it is none that this page makes: anybody can write on a board. */
export function inWords(action) {
  try {
    let changes = action.type === 'crdt/batch' ? action.changes : [{ ...action, op: action.type.replace(/^crdt\//, '') }]
    return changes.map(change => (Object.hasOwn(VERBS, change.op) ? VERBS[change.op](change) : change.op)).join(' and ')
  } catch {
    return action.type
  }
}

const time = ms => new Date(ms).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' })

function row(action, meta) {
  let made = document.createElement('li')
  let { user, text } = author(meta.id)
  made.dataset.user = user
  made.title = `${meta.id}\n${JSON.stringify(action)}`
  made.append(cell('position', `#${meta.added}`), cell('who', text), cell('what', inWords(action)), cell('when', time(meta.time)))
  return made
}

function cell(name, text) {
  let made = document.createElement('span')
  made.className = name
  made.textContent = text
  return made
}

const FATES = {
  'makes': 'it counts',
  'lost': 'lost: what was done later wins',
  'replaced': 'replaced by who had seen it',
  'took-away': 'took away what its author had seen',
  'waits': 'waits for something that is not here',
  'hidden': 'hidden by something of another kind',
  'gone': 'gone, with what was not kept'
}

function reasons({ parts = [] }) {
  // What counts first, then what lost, the newest first.
  let ranked = parts.toReversed().sort((one, other) => (other.fate === 'makes') - (one.fate === 'makes'))
  return ranked.slice(0, 8).map(({ what, fate, entry, other }) => {
    let made = document.createElement('li')
    let { user, text } = entry.id ? author(entry.id) : { text: entry.dot }
    made.dataset.user = user
    made.className = fate
    let value = what.value ?? what.values?.join(', ') ?? what.text ?? what.by ?? what.op ?? ''
    let by = other?.id ? `, ${author(other.id).text} at ${time(other.time)}` : ''
    made.append(cell('who', text), cell('what', typeof value === 'string' ? quoted(value) : JSON.stringify(value)))
    made.append(cell('when', entry.time ? time(entry.time) : ''), cell('fate', `${FATES[fate] ?? fate}${by}`))
    return made
  })
}
