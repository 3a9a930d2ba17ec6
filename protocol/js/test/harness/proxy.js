// What stands between a page and its server: it counts requests, and can refuse, hold back, cut and swallow.

import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'

import { Ledger } from '../../../../tests/npm/harness/deadline.js'

export class Proxy {
  /** Every request, as `METHOD path`. */
  requests = new Ledger()
  /** What is done with WebSockets: `pass`, `refuse`, or `swallow` what they say. */
  sockets = 'pass'
  /** Whether event streams are held back until they end, as a proxy does that wants the whole answer. */
  holdsStreams = false
  /** Called with each request and its response; says whether it answers in the server's place. */
  answer = () => undefined
  /** Called with each request; when it returns something, the server's answer is lost on the way. */
  losesAnswers = undefined
  #lines = new Set()
  #offline = false

  static async open(target) {
    const proxy = new Proxy(target)
    await proxy.#listen(0)
    return proxy
  }

  constructor(target) {
    this.target = target
    this.server = http.createServer((request, response) => this.#pass(request, response))
    this.server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    this.server.on('connection', line => {
      if (this.#offline) return line.destroy()
      this.#lines.add(line)
      line.on('error', () => {})
      line.on('close', () => this.#lines.delete(line))
    })
  }

  get url() {
    return `ws://127.0.0.1:${this.port}`
  }

  count(what) {
    return this.requests.items.filter(i => i.startsWith(what)).length
  }

  cut() {
    for (const line of this.#lines) line.destroy()
  }

  goOffline() {
    this.#offline = true
    this.cut()
  }

  goOnline() {
    this.#offline = false
  }

  async dispose() {
    this.cut()
    this.server.close()
    await once(this.server, 'close')
  }

  async #listen(port) {
    this.server.listen(port, '127.0.0.1')
    await once(this.server, 'listening')
    this.port = this.server.address().port
  }

  #pass(request, response) {
    this.requests.push(`${request.method} ${request.url}`)
    if (this.answer(request, response)) return undefined
    const { port } = this.target
    const options = { headers: request.headers, host: '127.0.0.1', method: request.method, path: request.url, port }
    const onward = http.request({ ...options, agent: false }, answer => {
      const held = this.holdsStreams && String(answer.headers['content-type']).startsWith('text/event-stream')
      if (held) return answer.resume()
      if (this.losesAnswers?.(request)) return response.destroy()
      response.writeHead(answer.statusCode, answer.headers)
      answer.pipe(response)
      answer.on('error', () => response.destroy())
    })
    onward.on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
    request.pipe(onward)
  }

  #upgrade(request, socket, head) {
    this.requests.push(`UPGRADE ${request.url}`)
    if (this.sockets === 'refuse') return socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n')
    const onward = net.connect(this.target.port, '127.0.0.1', () => {
      const lines = request.rawHeaders.reduce((text, part, i) => text + part + (i % 2 ? '\r\n' : ': '), '')
      onward.write(`${request.method} ${request.url} HTTP/1.1\r\n${lines}\r\n`)
      onward.write(head)
      onward.pipe(socket)
      if (this.sockets === 'swallow') socket.resume()
      else socket.pipe(onward)
    })
    onward.on('error', () => socket.destroy())
    socket.on('close', () => onward.destroy())
    onward.on('close', () => socket.destroy())
  }
}
