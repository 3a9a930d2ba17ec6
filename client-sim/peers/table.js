// The table of a comparison.

const { cpus, release, totalmem } = require('node:os')
const { resolve } = require('node:path')

const HEAD = [
  '| scenario | Tidelog: rate, server CPU each, p50 / p99 | its peer | times better | meant to be |',
  '|---|---|---|---|---|'
]
/** Who the peers are. */
const NAMES = { logux: '@logux/server', floor: 'bare axum', file: 'plain file' }

const median = numbers => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)]

/** What a row shows of one server. */
function figures(scenario, reports) {
  const of = pick => (pick(reports[0]) === undefined ? undefined : median(reports.map(pick)))
  const grown = report => report.server.resident_after_kib - report.server.resident_before_kib
  if (scenario.startsWith('idle')) return { kib: of(report => grown(report) / report.count) }
  if (scenario.startsWith('commits')) return { rate: of(report => report.rate), cpu: of(report => report.cpu) }
  return {
    rate: of(report => report.rate),
    cpu: of(report => report.server.cpu_us_each),
    p50: of(report => report.latency.p50_ms),
    p99: of(report => report.latency.p99_ms)
  }
}

function show({ rate, cpu, p50, p99, kib }) {
  if (kib !== undefined) return `${kib.toFixed(1)} KiB each`
  const parts = [`${Math.round(rate)}/s`]
  if (cpu !== undefined) parts.push(`${cpu.toFixed(1)} µs`)
  if (p50 !== undefined) parts.push(`${p50.toFixed(2)} / ${p99.toFixed(2)} ms`)
  return parts.join(', ')
}

/** How many times better Tidelog is. */
function ratios(tidelog, peer) {
  const ratio = {}
  if (tidelog.kib !== undefined) return { kib: peer.kib / tidelog.kib }
  ratio.rate = tidelog.rate / peer.rate
  if (tidelog.cpu !== undefined && peer.cpu !== undefined) ratio.cpu = peer.cpu / tidelog.cpu
  if (tidelog.p99 !== undefined) ratio.p99 = peer.p99 / tidelog.p99
  return ratio
}

/** What the figure is meant to be, and whether it is. */
function goal({ times, most }, ratio, tidelog) {
  for (const [name, least] of Object.entries(times ?? {})) {
    return `${name} ${least}: ${ratio[name] >= least ? 'reached' : '**missed**'}`
  }
  for (const [name, bound] of Object.entries(most ?? {})) {
    const unit = name === 'kib' ? 'KiB' : 'µs'
    return `at most ${bound} ${unit}: ${tidelog[name] <= bound ? 'reached' : '**missed**'}`
  }
  return ''
}

function row(name, scenario, tidelog, peer) {
  const ratio = ratios(tidelog, peer)
  const better = Object.entries(ratio).map(([figure, value]) => `${figure} ${value.toFixed(2)}`).join(', ')
  const beside = `${NAMES[scenario.peer]}: ${show(peer)}`
  return `| ${name} | ${show(tidelog)} | ${beside} | ${better} | ${goal(scenario, ratio, tidelog)} |`
}

/** Where and how a table was made. */
function about(command, out) {
  const [cpu] = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  return [
    `\`${command}\` on ${new Date().toISOString().slice(0, 10)}:`,
    `${cpus().length} × ${cpu.model}, ${memory} GiB, Linux ${release()}; the reports of each measurement are in \`${resolve(out)}\`.`
  ].join(' ')
}

module.exports = { HEAD, about, figures, ratios, row, show }
