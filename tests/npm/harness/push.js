// A push service on loopback.

import { once } from 'node:events'
import { createServer } from 'node:http'

import { within } from './deadline.js'

/** What comes waits in `came`, with the life of the server that sent it; it is answered while `answers` says so. */
export class Service {
  came = []
  answers = true
  /** The next so many are told to come again in a second. */
  busy = 0
  #life = 0
  #lines = new Set()
  #waiting = []

  static async start() {
    const service = new Service()
    service.server = createServer(async (request, response) => {
      const chunks = await request.toArray().catch(() => undefined)
      // A kill can cut it.
      if (!chunks) return
      const { headers, url } = request
      service.came.push({ path: url, headers, body: Buffer.concat(chunks), life: service.#life })
      service.#waiting.shift()?.()
      const busy = service.busy > 0
      if (busy) service.busy -= 1
      if (service.answers) response.writeHead(busy ? 429 : 201, busy ? { 'retry-after': '1' } : {}).end()
    })
    service.server.on('connection', line => {
      service.#lines.add(line)
      line.on('close', () => service.#lines.delete(line))
    })
    service.server.listen(0, '127.0.0.1')
    await once(service.server, 'listening')
    service.url = `http://127.0.0.1:${service.server.address().port}`
    return service
  }

  async next() {
    if (this.came.length === 0) {
      const coming = new Promise(resolve => this.#waiting.push(resolve))
      await within(coming, () => 'no push came', 60_000)
    }
    return this.came.shift()
  }

  /** The server was killed: resolves when all that it has sent is there. What comes from now on is of another life. */
  async outlives() {
    const closed = [...this.#lines].map(line => once(line, 'close'))
    await within(Promise.all(closed), 'the killed server has lines open')
    this.#life += 1
  }

  stop() {
    this.server.closeAllConnections()
    this.server.close()
  }
}
