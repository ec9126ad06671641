// PostGraphile on the schema `peers` of a database: node postgraphile.mjs PORT postgresql://...
import { createServer } from 'node:http'
import { postgraphile } from 'postgraphile'
import { makePgService } from 'postgraphile/adaptors/pg'
import { grafserv } from 'postgraphile/grafserv/node'
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber'
import { makeV4Preset } from 'postgraphile/presets/v4'

// It expects node 22 and runs on 20 with this.
Promise.withResolvers ??= function () {
  const made = {}
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}

const [port, connectionString] = process.argv.slice(2)
const preset = {
  extends: [PostGraphileAmberPreset, makeV4Preset({ dynamicJson: true })],
  pgServices: [makePgService({ connectionString, schemas: ['peers'] })],
  grafserv: { graphqlPath: '/graphql', maxRequestLength: 16 * 1024 * 1024, watch: false },
}
const served = postgraphile(preset).createServ(grafserv)
const server = createServer()
await served.addTo(server)
server.keepAliveTimeout = 600_000
server.listen(Number(port), '127.0.0.1')
