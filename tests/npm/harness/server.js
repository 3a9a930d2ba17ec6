// One tidelog process and its data directory: start, stop, kill, start again.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cp, lstat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { within } from './deadline.js'

const BUILT = fileURLToPath(new URL('../../../target/debug/tidelog', import.meta.url))
export const BIN = resolve(process.env.TIDELOG_BIN ?? BUILT)

if (!existsSync(BIN)) {
  throw new Error(`${BIN} does not exist: run cargo build, or set TIDELOG_BIN`)
}

// A TIDELOG_ variable of the surrounding shell must not become a setting of the server under test.
const ENV = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('TIDELOG_'))
)

const ADDRESS = /127\.0\.0\.1:([1-9]\d*)/

export class Server {
  /**
   * Options: `config` (TOML text), `args` (more flags), `dev` (default true), `data` (an existing directory), `tls`
   * (files of a certificate and its key).
   */
  static async start(options = {}) {
    const server = new Server(options)
    await server.start()
    return server
  }

  constructor({ config, args = [], dev = true, data, tls } = {}) {
    this.root = mkdtempSync(join(tmpdir(), 'tidelog-npm-'))
    this.data = data ?? join(this.root, 'data')
    this.args = dev ? ['--dev', ...args] : args
    this.tls = tls
    if (tls) this.args = [...this.args, '--tls-cert', tls.cert, '--tls-key', tls.key]
    this.port = 0
    this.output = ''
    if (config !== undefined) {
      this.config = join(this.root, 'tidelog.toml')
      writeFileSync(this.config, config)
      this.args = [...this.args, '--config', this.config]
    }
  }

  get url() {
    return this.tls ? `wss://localhost:${this.port}` : `ws://127.0.0.1:${this.port}`
  }

  /** Starts the process and waits for its line with the address; a second start takes the same port. */
  async start() {
    const listen = `127.0.0.1:${this.port}`
    const flags = ['serve', '--listen', listen, '--data', this.data, ...this.args]
    this.child = spawn(BIN, flags, { env: ENV, stdio: ['ignore', 'pipe', 'pipe'] })
    this.exited = once(this.child, 'exit').then(([code, signal]) => ({ code, signal }))
    const address = new Promise(resolve => {
      const read = chunk => {
        this.output += chunk
        const line = this.output.split('\n').find(i => ADDRESS.test(i))
        if (line) resolve(Number(ADDRESS.exec(line)[1]))
      }
      this.output = ''
      this.child.stdout.setEncoding('utf8').on('data', read)
      this.child.stderr.setEncoding('utf8').on('data', read)
    })
    const died = this.exited.then(exit => {
      throw new Error(`tidelog ended at start with ${JSON.stringify(exit)}:\n${this.output}`)
    })
    died.catch(() => {})
    this.port = await within(
      Promise.race([address, died]),
      () => `no start-up line with an address:\n${this.output}`,
      30_000
    )
  }

  get running() {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  /** SIGTERM; the exit code must be 0. */
  async stop() {
    if (!this.running) return
    this.child.kill('SIGTERM')
    const exit = await within(this.exited, () => `SIGTERM had no effect:\n${this.output}`, 30_000)
    if (exit.code !== 0) {
      throw new Error(`SIGTERM ended in ${JSON.stringify(exit)}:\n${this.output}`)
    }
  }

  async kill() {
    this.child.kill('SIGKILL')
    await this.exited
  }

  /** Copies the data directory; the process must be stopped. */
  async backup() {
    const copy = join(this.root, 'backup')
    await copyFiles(this.data, copy)
    return copy
  }

  /** Replaces the data directory by a copy; the process must be stopped. */
  async restore(copy) {
    rmSync(this.data, { recursive: true })
    await copyFiles(copy, this.data)
  }

  async dispose() {
    try {
      await this.stop()
    } finally {
      if (this.running) await this.kill()
      rmSync(this.root, { recursive: true, force: true })
    }
  }
}

/** Copies a tree without the sockets in it. */
function copyFiles(from, to) {
  const filter = async path => !(await lstat(path)).isSocket()
  return cp(from, to, { recursive: true, filter })
}

/** Runs another command of the binary to its end and returns its standard output. */
export async function tidelog(...args) {
  const child = spawn(BIN, args, { env: ENV, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', chunk => (out += chunk))
  child.stderr.setEncoding('utf8').on('data', chunk => (err += chunk))
  const [code] = await within(once(child, 'close'), `tidelog ${args[0]} did not end`, 60_000)
  if (code !== 0) throw new Error(`tidelog ${args.join(' ')} ended with ${code}: ${err}${out}`)
  return out
}

/** The entries of a user's or a channel's log, as `tidelog log` prints them. */
export async function storedLog(server, { user, channel }) {
  const which = user === undefined ? ['--channel', channel] : ['--user', user]
  const text = await tidelog('log', '--data', server.data, ...which)
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
}
