// PouchDB behind express-pouchdb, on LevelDB in a folder: node pouchdb.mjs PORT FOLDER/
import express from 'express'
import expressPouchdb from 'express-pouchdb'
import PouchDB from 'pouchdb'

const [port, prefix] = process.argv.slice(2)
const app = express()
app.use(expressPouchdb(PouchDB.defaults({ prefix }), { mode: 'minimumForPouchDB', inMemoryConfig: true }))
const server = app.listen(Number(port), '127.0.0.1')
server.keepAliveTimeout = 600_000
