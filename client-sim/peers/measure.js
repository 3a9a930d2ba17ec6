// A server as a new process on an empty directory, and the generator against it.

const { execFileSync, spawn } = require('node:child_process')
const { randomBytes } = require('node:crypto')
const { mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
const { createServer } = require('node:net')
const { tmpdir } = require('node:os')
const { join } = require('node:path')

const PEER = join(__dirname, 'logux-server')
/** Actions of the benchmark of the log: 100 a commit. */
const COMMITTED = '1000000'

/** A free port, for a server that does not take 0. */
function freePort() {
  return new Promise((done, failed) => {
    const probe = createServer()
    probe.on('error', failed)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => done(port))
    })
  })
}

const CONFIG = join(__dirname, 'tidelog.toml')
/** As many as the generator has devices over HTTP. */
const USERS = 64

const serve = (home, config) => ['serve', '--listen', '127.0.0.1:0', '--data', join(home, 'data'), '--config', config]

const SERVERS = {
  tidelog: {
    notForIt: [],
    async command(target, home) {
      return [join(target, 'tidelog'), [...serve(home, CONFIG), '--dev'], {}]
    }
  },
  /** The same, not in development: over HTTP each request has a token that proves its user. */
  checking: {
    notForIt: [],
    flags: home => ['--tokens', join(home, 'tokens')],
    async command(target, home) {
      const [binary, key, config] = [join(target, 'tidelog'), join(home, 'key'), join(home, 'tidelog.toml')]
      writeFileSync(key, randomBytes(48).toString('base64'))
      writeFileSync(config, `${readFileSync(CONFIG)}\n[[auth.jwt]]\nsecret_file = "${key}"\n`)
      const users = Array.from({ length: USERS }, (_, n) => `user-${n}`)
      const token = user => execFileSync(binary, ['token', '--user', user, '--key', key, '--ttl', '1h'], { encoding: 'utf8' })
      writeFileSync(join(home, 'tokens'), users.map(user => `${user} ${token(user)}`).join('\n'))
      return [binary, serve(home, config), {}]
    }
  },
  logux: {
    notForIt: ['--keeps-nothing'],
    async command() {
      const port = String(await freePort())
      return [process.execPath, ['server.js'], { PORT: port, NODE_ENV: 'production' }]
    }
  },
  floor: {
    notForIt: ['--keeps-nothing'],
    async command(target) {
      return [join(target, 'examples', 'floor'), [], {}]
    }
  }
}

/** Runs one scenario against a new process of one server; the generator's report. */
async function measure(target, server, scenario) {
  const home = mkdtempSync(join(tmpdir(), 'tidelog-compare-'))
  const [file, args, env] = await server.command(target, home)
  const options = { cwd: PEER, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] }
  const child = spawn(file, args, options)
  const ended = new Promise(done => child.once('exit', done))
  try {
    const address = await listening(child)
    const own = ['actions', 'push', 'pull'].includes(scenario[0]) ? server.notForIt : []
    const flags = ['--json', '--server', address, '--server-pid', String(child.pid), ...(server.flags?.(home) ?? [])]
    return JSON.parse(await output(join(target, 'tidelog-sim'), [...scenario, ...own, ...flags]))
  } finally {
    child.kill('SIGTERM')
    const patience = setTimeout(() => child.kill('SIGKILL'), 20_000)
    await ended
    clearTimeout(patience)
    rmSync(home, { recursive: true, force: true })
  }
}

/** Waits for the server's line with its address. */
function listening(child) {
  return new Promise((done, failed) => {
    let text = ''
    const read = chunk => {
      text += chunk
      const found = /listens on (127\.0\.0\.1:\d+)/.exec(text)
      if (found) done(found[1])
    }
    child.stdout.setEncoding('utf8').on('data', read)
    child.stderr.setEncoding('utf8').on('data', chunk => { text += chunk })
    child.once('exit', () => failed(new Error(`a server did not start:\n${text}`)))
    child.once('error', failed)
  })
}

/** What a command prints. It must not be waited for in the foreground, or nobody would read what the server prints. */
function output(file, args) {
  return new Promise((done, failed) => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', chunk => { text += chunk })
    child.once('error', failed)
    child.once('exit', code => {
      if (code === 0) done(text)
      else failed(new Error(`${file} ${args.join(' ')} ended with ${code}:\n${text}`))
    })
  })
}

/** The committer beside a plain file that is written and synced in equal batches: one benchmark has both. */
function commits(root) {
  const args = ['bench', '--locked', '--package', 'tidelog-server', '--bench', 'log', '--', COMMITTED]
  const text = execFileSync('cargo', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  const rate = pattern => {
    const found = pattern.exec(text)
    if (!found) throw new Error(`the benchmark of the log does not say ${pattern}:\n${text}`)
    return { rate: Number(found[1].replaceAll(',', '')), cpu: found[2] ? Number(found[2]) : undefined }
  }
  return {
    tidelog: rate(/ durable actions: ([\d,]+)\D.*?([\d.]+) µs/),
    file: rate(/plain file, write and fdatasync: ([\d,]+)/)
  }
}

module.exports = { SERVERS, commits, measure }
